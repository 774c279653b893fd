"""End a retraining: judge its version, promote it as the job requires, and end the job.

`gate` judges, and `lease` ends the job; `job_runner` has what comes before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streetlight.model.dataset import Dataset
from streetlight.model.exam import Exam
from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning.gate import Verdict, judge
from streetlight.service.learning.job import Job
from streetlight.service.learning.lease import Lease
from streetlight.service.ledger.training_set import TrainingSet
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import Draft
from streetlight.service.wiring import Services


@dataclass(frozen=True)
class _Candidate:
    """A new version, and the data on which it is judged."""

    version: Version
    dataset: Dataset
    exam: Exam | None
    training_set: TrainingSet | None


def conclude(
    services: Services, lease: Lease, data: TrainingSet | None, version: Version | Draft
) -> tuple[int, bool]:
    """Judge the version, promote it as the job requires, and end the job.

    The version that it is compared with is the version that it replaces. The exam is that in the
    version's file, and so is the training data if an earlier attempt published the version and
    `data` is `None`.

    Returns:
        The number of the version, and whether it was promoted.

    Raises:
        LeaseLostError: another trainer has the job, or the job has ended.
        DBAPIError, LockedError: this may be tried again.
    """
    if isinstance(version, Draft):
        return _publish_and_conclude(services, lease, data, version)
    repository = services.repository
    dataset = data.dataset if data else version.dataset()
    candidate = _Candidate(version, dataset, version.exam(), data)
    lease.renew()
    with repository.promoting() as promote:
        # Fencing: the wait for the lock may have outlasted the lease. If another trainer took
        # over and ended the job, its decision stands. A trainer that takes over after this line
        # waits for the lock, and then finds the promotion below.
        lease.renew()
        # An earlier attempt may have crashed between promoting and ending the job. The version is
        # then not promoted again, and is compared with the version that it replaced: it would
        # otherwise be compared with itself.
        promotion = _promotion_of(repository, version)
        live = _replaced(repository, promotion) if promotion else live_version_if_any(repository)
        verdict, reason = _decide(services, lease, candidate, live)
        if reason and not promotion:
            promote(version.number, reason, lease.job.key)
        promoted = bool(reason or promotion)
        verdict = replace(verdict, forced=promoted and not verdict.passed)
        # Last, so that a job that succeeded states truthfully whether its version went live.
        lease.mark_succeeded(version.number, promoted, verdict)
    return version.number, promoted


def follow_conclusions(repository: ModelRepository, jobs: Iterable[Job]) -> None:
    """Bring the folder of this host to the versions and promotions of `jobs`.

    A client that learns of the end of a job may ask this host for its version at once, a moment
    before the follower has copied it.
    """
    if any(
        job.version is not None
        and not (
            repository.path(job.version).exists()
            and (not job.promoted or repository.live_number() == job.version)
        )
        for job in jobs
    ):
        repository.try_to_follow()


def _publish_and_conclude(
    services: Services, lease: Lease, data: TrainingSet | None, draft: Draft
) -> tuple[int, bool]:
    """Do the same with a draft: version, promotion and the job's end are one commit."""
    repository = draft.repository
    candidate = _Candidate(draft.version, draft.dataset, draft.exam, data)
    while True:
        lease.renew()
        # First, so that the folder isn't older.
        state = repository.state()
        repository.follow()
        live = live_version_if_any(repository, copy=True)
        verdict, reason = _decide(services, lease, candidate, live)
        verdict = replace(verdict, forced=bool(reason) and not verdict.passed)
        with repository.transaction() as connection:
            if repository.state(connection) != state:
                continue  # judging takes long, and another version was published or promoted
            number = state.newest + 1
            # First, because it is fenced: without the lease, nothing is published.
            lease.mark_succeeded(number, bool(reason), verdict, connection)
            repository.insert(connection, draft)
            if reason:
                rows.insert_promotion(
                    connection, "promote", number, state.live, reason, key=lease.job.key
                )
        repository.try_to_follow()
        return number, bool(reason)


def _decide(
    services: Services, lease: Lease, candidate: _Candidate, live: Version | None
) -> tuple[Verdict, str | None]:
    """Return the verdict, and the reason of the promotion; `None` if there is to be none."""
    job = lease.job
    must_hold = (*services.settings.must_hold, *job.must_hold)
    verdict = judge(
        candidate.version,
        candidate.dataset,
        live,
        must_hold,
        lease.renew,
        exam=candidate.exam,
        promote=job.promote,
    )
    data = candidate.training_set
    if data and not verdict.passed and (outlier := data.outlier()):
        verdict = replace(verdict, reasons=[*verdict.reasons, outlier])
    if job.promote == "never" or not (verdict.passed or job.promote == "always"):
        return verdict, None
    return verdict, f"job {job.id}{'' if verdict.passed else ', forced'}"


def _replaced(repository: ModelRepository, promotion: Promotion) -> Version | None:
    """Return the version that a promotion replaced; `None` if there is none, or it is damaged."""
    try:
        return repository.load(promotion.instead_of) if promotion.instead_of else None
    except (VersionNotFoundError, VersionDamagedError):
        return None


def _promotion_of(repository: ModelRepository, version: Version) -> Promotion | None:
    """Return the first promotion of the version, if it was ever promoted."""
    for promotion in repository.promotions():
        if promotion.version == version.number:
            return promotion
    return None
