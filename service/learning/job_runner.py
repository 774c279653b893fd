"""Retraining: what one job does, from the ledger to the promotion.

How a job is held and ended is in `claims`; the process that takes one job after another, in
`trainer`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import Progress, TrainingDivergedError, fit
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning.gate import judge
from streetlight.service.learning.lease import (
    ATTEMPTS,
    NO_HEARTBEAT,
    CancelledError,
    Lease,
    LeaseLostError,
)
from streetlight.service.learning.queue import Job, JobProgress
from streetlight.service.ledger.training_set import LedgerError, TrainingSet, load_training_set
from streetlight.service.observability.logs import log_fields
from streetlight.service.wiring import Services

# Where a request names no recipe. More nodes and passes than the lab's: eight nodes learn what
# four do not, whatever the ledger holds.
DEFAULT_RECIPE = Recipe(hidden_sizes=(8,), iterations=1000)

HEARTBEAT_INTERVAL = 0.2
MAX_SECONDS = 3600
MAX_POINTS = 100

_log = logging.getLogger(__name__)


def _log_of(job: Job) -> "logging.LoggerAdapter[logging.Logger]":
    """Every line about a job tells which request asked for it."""
    return logging.LoggerAdapter(_log, log_fields(job=job.id, request_id=job.request_id))


class TrainerStoppingError(Exception):
    """The trainer is to end; the job goes back into the queue."""


def run_job(services: Services, lease: Lease, should_stop: Callable[[], bool]) -> None:
    """Do a job to its end, whatever that is; it says so in the jobs table.

    Args:
        services: ledger and repository.
        lease: the hold on the job.
        should_stop: asked now and then; once it says yes, the job is handed back.
    """
    job = lease.job
    log = _log_of(job)
    log.info("job %d: attempt %d, request %s", job.id, job.attempt, job.request_id)
    try:
        _run_job(services, lease, should_stop)
    except LeaseLostError as error:
        log.warning("job %d: %s", job.id, error)


def _run_job(services: Services, lease: Lease, should_stop: Callable[[], bool]) -> None:
    job = lease.job
    log = _log_of(job)
    try:
        data = load_training_set(services.engine)
        version = _published_before(services, lease)
        if version is None and job.attempt > ATTEMPTS:
            lease.fail(NO_HEARTBEAT)
            return
        version = version or _train(services, lease, data, should_stop)
        _promote(services, lease, data, version)
    except TrainerStoppingError:
        lease.release()
        log.info("job %d: handed back", job.id)
    except CancelledError:
        lease.cancel()
        log.info("job %d: cancelled", job.id)
    except (LedgerError, TrainingDivergedError, VersionDamagedError, OSError) as error:
        lease.fail(str(error))
        log.warning("job %d: failed: %s", job.id, error)


def _published_before(services: Services, lease: Lease) -> Version | None:
    """Return the version that an earlier attempt made, before its trainer died."""
    if lease.job.attempt > 1:
        for number in reversed(services.repository.versions()):
            try:
                version = services.repository.load(number)
            except VersionDamagedError:
                continue
            if version.manifest.job == lease.job.id:
                return version
    return None


def _train(
    services: Services, lease: Lease, data: TrainingSet, should_stop: Callable[[], bool]
) -> Version:
    curve = Curve()
    started = signed = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal signed
        curve.add(progress)
        if should_stop():
            raise TrainerStoppingError
        now = time.monotonic()
        if now - started > MAX_SECONDS:
            raise TimeoutError(f"not done after {MAX_SECONDS} s; ask for less")
        if now - signed >= HEARTBEAT_INTERVAL:
            signed = now
            lease.heartbeat(curve.progress)

    lease.heartbeat()
    training = fit(data.dataset, lease.job.recipe, report)
    # Whoever slept past its lease finds out here, before it leaves anything behind.
    lease.heartbeat(curve.progress)
    parent = services.repository.live_number()
    origin = Provenance("ledger", parent, data.ids, lease.job.id)
    return services.repository.publish(training, data.dataset, origin)


def _promote(services: Services, lease: Lease, data: TrainingSet, version: Version) -> None:
    job, repository = lease.job, services.repository
    must_hold = (*services.settings.must_hold, *job.must_hold)
    with repository.promoting() as promote:
        lease.renew()
        before = _promoted_before(services, version)
        live = live_version_if_any(repository)
        if before and before.instead_of:
            live = repository.load(before.instead_of)
        verdict = judge(version, data.dataset, live, must_hold)
        promoted = before is not None
        wanted = job.promote == "always" or (job.promote == "if_better" and verdict.passed)
        if wanted and not promoted:
            reason = f"job {job.id}{'' if verdict.passed else ', forced'}"
            promote(version.number, reason)
            promoted = True
        verdict = replace(verdict, forced=promoted and not verdict.passed)
        lease.succeed(version.number, promoted, verdict)
    told = (job.id, version.number, promoted)
    _log_of(job).info("job %d: version %d, promoted: %s", *told)


def _promoted_before(services: Services, version: Version) -> Promotion | None:
    """Return how the version went live already: by an earlier attempt, before its trainer died."""
    for promotion in services.repository.history():
        if promotion.version == version.number:
            return promotion
    return None


class Curve:
    """The error curve of the run under way, thinned as it grows; every step doubles when full."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []
        self.every = 1
        self.last: Progress | None = None

    def add(self, progress: Progress) -> None:
        """Take up a pass; a new run begins a new curve."""
        if self.last is None or progress.restart != self.last.restart:
            self.points, self.every = [], 1
        self.last = progress
        if (progress.iteration - 1) % self.every == 0:
            self.points.append((progress.iteration, progress.error))
            if len(self.points) >= MAX_POINTS:
                self.points, self.every = self.points[::2], self.every * 2

    @property
    def progress(self) -> JobProgress | None:
        """The last pass, with the curve up to it."""
        if self.last is None:
            return None
        last = self.last
        points = self.points
        if points[-1][0] != last.iteration:
            points = [*points, (last.iteration, last.error)]
        return JobProgress(last.restart, last.seed, last.iteration, last.error, list(points))
