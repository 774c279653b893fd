"""Run one retraining job: train, publish the version, and conclude the job.

`conclusion` judges and promotes the version, `lease` acquires and ends jobs, and `trainer` is the
process that runs one job after another.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import Progress, TrainingDivergedError, fit
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning.conclusion import conclude
from streetlight.service.learning.job import Job, JobProgress
from streetlight.service.learning.lease import (
    MAX_ATTEMPTS,
    NO_HEARTBEAT,
    CancelledError,
    Lease,
    LeaseLostError,
)
from streetlight.service.learning.training_data import load_rows
from streetlight.service.ledger.exam import exam_spec
from streetlight.service.ledger.training_set import LedgerError, TrainingSet, load_training_set
from streetlight.service.observability import spans
from streetlight.service.observability.logs import log_fields
from streetlight.service.observability.trace_context import in_trace
from streetlight.service.registry.shared_repository import Draft, SharedRepository
from streetlight.service.store.engine import describe
from streetlight.service.wiring import Services

# Seconds between the heartbeats of a training, and the longest time that a training may take.
HEARTBEAT_INTERVAL = 0.2
MAX_TRAINING_SECONDS = 3600
# Seconds between two tries while the database fails.
RETRY_INTERVAL = 0.2

MAX_CURVE_POINTS = 100
NO_MEMORY = (
    "the trainer has too little memory for this training: use smaller hidden sizes, or allow the "
    "trainer more"
)

T = TypeVar("T")

log = logging.getLogger(__name__)


def _job_log(job: Job) -> "logging.LoggerAdapter[logging.Logger]":
    """Return a logger that adds the job's id and the id of the request that submitted it."""
    return logging.LoggerAdapter(log, log_fields(job=job.id, request_id=job.request_id))


class TrainerStoppingError(Exception):
    """The trainer has to stop; its job goes back to the queue."""


def run_job(services: Services, lease: Lease, should_stop: Callable[[], bool]) -> None:
    """Run a job, and store its result in the jobs table.

    If the lease is lost, the job is left to the trainer that holds it now. While the database fails
    or a lock is held, each step is repeated for as long as a lease lasts.

    Args:
        services: the database, the repository and the settings.
        lease: the lease on the job.
        should_stop: called after each pass over the data; once it returns true, the job is
            released to the queue.

    Raises:
        DBAPIError, LockedError: that took longer than a lease, or the trainer has to stop.
    """
    job = lease.job
    job_log = _job_log(job)
    with in_trace(lease.trace), spans.span("retrain", "CONSUMER", {"streetlight.job": job.id}):
        job_log.info("job %d: attempt %d, request %s", job.id, job.attempt, job.request_id)
        try:
            _run_job(services, lease, should_stop)
        except LeaseLostError as error:
            job_log.warning("job %d: %s", job.id, error)


def _run_job(services: Services, lease: Lease, should_stop: Callable[[], bool]) -> None:
    job = lease.job
    job_log = _job_log(job)
    retry = partial(_retry, lease, should_stop)

    def renew() -> None:
        lease.heartbeat()
        if should_stop():
            raise TrainerStoppingError

    try:
        # An earlier attempt may have crashed after publishing. Training again would give the job
        # a second version.
        version: Version | Draft | None
        version, data = _version_of_earlier_attempt(services, lease, should_stop), None
        if version is None:
            if job.attempt > MAX_ATTEMPTS:
                retry(partial(lease.mark_failed, NO_HEARTBEAT))
                return
            data = retry(partial(_load, services, job, renew))
            version = _train(services, lease, data, should_stop)
        # Repeated as a whole, so that the promotion lock is free between two tries.
        number, promoted = retry(partial(conclude, services, lease, data, version))
        job_log.info("job %d: version %d, promoted: %s", job.id, number, promoted)
    except TrainerStoppingError:
        lease.release()
        job_log.info("job %d: released, because the trainer is stopping", job.id)
    except CancelledError:
        retry(lease.mark_cancelled)
        job_log.info("job %d: cancelled", job.id)
    except (
        LedgerError,
        TrainingDivergedError,
        VersionDamagedError,
        VersionNotFoundError,  # the file of the published version was removed
        OSError,
    ) as error:
        # Not the text of an OSError, which names a folder of the server.
        reason = str(getattr(error, "strerror", None) or error)
        retry(partial(lease.mark_failed, reason))
        job_log.warning("job %d: failed: %s", job.id, error)
    except MemoryError:
        retry(partial(lease.mark_failed, NO_MEMORY))
        job_log.exception("job %d: failed: %s", job.id, NO_MEMORY)


def _retry(lease: Lease, should_stop: Callable[[], bool], act: Callable[[], T]) -> T:
    """Return the result of `act`, which is repeated while the database fails or a lock is held.

    Nothing is lost if a commit succeeded although it seemed to fail: fencing then lets the next try
    change nothing.
    """
    deadline = None
    while True:
        try:
            return act()
        except (DBAPIError, LockedError) as error:
            now = time.monotonic()
            if deadline is None:
                deadline = now + lease.duration
                _job_log(lease.job).warning("job %d: %s; retrying", lease.job.id, describe(error))
            if now > deadline or should_stop():
                raise
            time.sleep(RETRY_INTERVAL)


def _version_of_earlier_attempt(
    services: Services, lease: Lease, should_stop: Callable[[], bool]
) -> Version | None:
    """Return the version that an earlier attempt of the job published before it crashed.

    Thousands of versions take longer than a lease to read, so it is renewed meanwhile.
    """
    repository = services.repository
    if isinstance(repository, SharedRepository):
        return _retry(lease, should_stop, partial(repository.version_of_job, lease.job.id))
    if lease.job.attempt > 1:
        last_renewal = time.monotonic()
        for number in reversed(repository.versions()):
            if should_stop():
                raise TrainerStoppingError
            if time.monotonic() - last_renewal >= HEARTBEAT_INTERVAL:
                last_renewal = time.monotonic()
                _retry(lease, should_stop, lease.renew)
            try:
                version = repository.load(number)
            except (VersionNotFoundError, VersionDamagedError):
                continue
            if version.manifest.job == lease.job.id:
                return version
    return None


def _load(services: Services, job: Job, renew: Callable[[], None]) -> TrainingSet:
    """Return what the job learns from: of the ledger's observations, those not in the exam."""
    if job.data.source != "ledger":
        return load_rows(services.engine, job.id, job.data, job.recipe.repeats)
    amount = services.settings.exam if job.exam is None else job.exam
    live = live_version_if_any(services.repository, copy=True)
    return load_training_set(services.engine, renew, exam_spec(amount, live), job.recipe.repeats)


def _train(
    services: Services, lease: Lease, data: TrainingSet, should_stop: Callable[[], bool]
) -> Version | Draft:
    curve, retry = ErrorCurve(), partial(_retry, lease, should_stop)
    started = last_heartbeat = time.monotonic()

    # Heartbeats are sent from the training itself, not from a thread beside it: a thread would
    # keep the lease of a training that hangs.
    def report(progress: Progress) -> None:
        nonlocal last_heartbeat
        curve.add(progress)
        if should_stop():
            raise TrainerStoppingError
        now = time.monotonic()
        if now - started > MAX_TRAINING_SECONDS:
            raise TimeoutError(
                f"the training took more than {MAX_TRAINING_SECONDS} s; use fewer iterations, "
                "fewer restarts or smaller hidden sizes"
            )
        if now - last_heartbeat >= HEARTBEAT_INTERVAL:
            last_heartbeat = now
            with in_trace(None):  # no spans of its statements: hundreds of them in a minute
                retry(partial(lease.heartbeat, curve.progress))

    retry(lease.heartbeat)
    try:
        training = fit(data.dataset, lease.job.recipe, report)
    except TrainingDivergedError as error:
        raise TrainingDivergedError(
            "; ".join(filter(None, [str(error), data.outlier()]))
        ) from error

    def publish() -> Version | Draft:
        # Fencing: a trainer that was suspended during the training and lost the job stops here,
        # before it publishes a second version for the job. After a suspension between this line
        # and the next one, a second version can appear, but it isn't promoted: `_promote` checks
        # the lease again.
        lease.heartbeat(curve.progress)
        repository = services.repository
        parent = repository.live_number()
        provenance = Provenance(
            data.source, parent, data.ids, lease.job.id, data.exam, data.why_no_exam
        )
        if isinstance(repository, SharedRepository):
            return repository.draft(training, data.dataset, provenance)
        return repository.publish(training, data.dataset, provenance)

    return retry(publish)


class ErrorCurve:
    """The errors of the current run, thinned to fewer than `MAX_CURVE_POINTS` points.

    When the curve is full, every second point is removed, and the interval between points doubles.
    """

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []
        self.interval = 1
        self.last: Progress | None = None

    def add(self, progress: Progress) -> None:
        """Add the error of a pass; the first pass of another run starts the curve again."""
        if self.last is None or progress.restart != self.last.restart:
            self.points, self.interval = [], 1
        self.last = progress
        if (progress.iteration - 1) % self.interval == 0:
            self.points.append((progress.iteration, progress.error))
            if len(self.points) >= MAX_CURVE_POINTS:
                self.points, self.interval = self.points[::2], self.interval * 2

    @property
    def progress(self) -> JobProgress | None:
        """Return the last pass and the curve up to it; `None` before the first pass."""
        if self.last is None:
            return None
        last = self.last
        points = self.points
        if points[-1][0] != last.iteration:
            points = [*points, (last.iteration, last.error)]
        return JobProgress(last.restart, last.seed, last.iteration, last.error, list(points))
