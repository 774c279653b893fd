"""The lease on a job: the right of one trainer to run the job, until the lease expires.

Every write to a held job is fenced: its WHERE clause requires that the job is still running, with
the owner and the attempt of the lease. A trainer that is suspended past its lease (SIGSTOP, a
paused virtual machine) and wakes up after another trainer acquired the job therefore updates no
row, and gets a `LeaseLostError`. Expiry times are on the database's clock, so the clocks of the
trainers' hosts need not agree.
"""

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, or_, select, update

from streetlight.service.learning.gate import Verdict
from streetlight.service.learning.job import Job, JobProgress, State, job_from_row
from streetlight.service.observability.trace_context import Trace, parse_traceparent
from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.tables import jobs

MAX_ATTEMPTS = 3
NO_HEARTBEAT = (
    f"the trainer stopped sending heartbeats in each of {MAX_ATTEMPTS} attempts; "
    "see the trainer's log"
)


class LeaseLostError(Exception):
    """The job has ended, or another trainer acquired it after the lease expired."""


class CancelledError(Exception):
    """Cancellation of the job was requested."""


@dataclass(frozen=True)
class Lease:
    """The right of one trainer to run one job.

    Attributes:
        engine: the engine of the database that holds the job.
        job: the job as it was when the lease was acquired.
        owner: the unique name of the trainer.
        duration: seconds from each renewal until the lease expires.
        trace: the trace of the request that submitted the job.
    """

    engine: Engine
    job: Job
    owner: str
    duration: float
    trace: Trace | None = None

    def heartbeat(self, progress: JobProgress | None = None) -> None:
        """Renew the lease, and store the progress of the training if it is given.

        Raises:
            LeaseLostError: another trainer has the job, or the job has ended.
            CancelledError: cancellation of the job was requested; the lease is renewed.
        """
        values: dict[str, Any] = {"lease_until": clock(self.engine) + self.duration}
        if progress is not None:
            values["progress"] = json.dumps(asdict(progress))
            values["revision"] = jobs.c.revision + 1
        if self._update(values):
            raise CancelledError

    def renew(self) -> None:
        """Renew the lease, and ignore a requested cancellation.

        This is for the time after the version was published, when the job can no longer be
        cancelled.

        Raises:
            LeaseLostError: another trainer has the job, or the job has ended.
        """
        self._update({"lease_until": clock(self.engine) + self.duration})

    def mark_succeeded(
        self,
        version: int,
        promoted: bool,
        verdict: Verdict,
        connection: Connection | None = None,
    ) -> None:
        """End the job as succeeded, with the version that it published.

        If there is a `connection`, this happens in its transaction.

        Raises:
            LeaseLostError: another trainer has the job, or the job has ended.
        """
        self._end(
            "succeeded",
            connection,
            version=version,
            promoted=promoted,
            verdict=json.dumps(asdict(verdict)),
        )

    def mark_failed(self, error: str) -> None:
        """End the job as failed, with a message for the user.

        Raises:
            LeaseLostError: another trainer has the job, or the job has ended.
        """
        self._end("failed", error=error)

    def mark_cancelled(self) -> None:
        """End the job as cancelled.

        Raises:
            LeaseLostError: another trainer has the job, or the job has ended.
        """
        self._end("cancelled")

    def release(self) -> None:
        """Return the job to the queue; the attempt isn't counted.

        Raises:
            LeaseLostError: another trainer has the job, or the job has ended.
        """
        self._update(
            {
                "state": "queued",
                "owner": None,
                "lease_until": None,
                "progress": None,
                "attempt": jobs.c.attempt - 1,
                "revision": jobs.c.revision + 1,
            }
        )

    def _end(
        self,
        state: State,
        connection: Connection | None = None,
        **values: Any,  # noqa: ANN401 - columns
    ) -> None:
        ended = {"state": state, "finished_at": clock(self.engine), "lease_until": None}
        self._update(values | ended | {"revision": jobs.c.revision + 1}, connection)

    def _update(self, values: dict[str, Any], connection: Connection | None = None) -> bool:
        """Update the job if the lease holds; return whether cancellation was requested."""
        fenced = (
            update(jobs)
            .where(
                jobs.c.id == self.job.id,
                # False if the job has ended or is back in the queue.
                jobs.c.state == "running",
                # False if another trainer has acquired the job.
                jobs.c.owner == self.owner,
                # False if the same trainer has acquired the job again with a later lease.
                jobs.c.attempt == self.job.attempt,
            )
            .values(values)
            .returning(jobs.c.cancel_requested)
        )
        transaction = nullcontext(connection) if connection else write_transaction(self.engine)
        with transaction as open_connection:
            cancel_requested = open_connection.execute(fenced).scalar()
        if cancel_requested is None:
            raise LeaseLostError("it has ended, or another trainer has taken it")
        return bool(cancel_requested)


def acquire_lease(engine: Engine, owner: str, duration: float) -> Lease | None:
    """Return a lease on the oldest job that is queued or whose lease has expired, if there is one.

    A job gets up to `MAX_ATTEMPTS` trainings, and one more attempt that only looks for a version
    that an earlier attempt published. A job whose lease expires in that attempt too is marked as
    failed.

    Args:
        engine: the engine of the database that holds the jobs.
        owner: the name of the trainer, unique among all processes on all hosts.
        duration: seconds until the lease expires.
    """
    now = clock(engine)
    # After the clock was set back, a lease would last too long. Twice, because trainers may have
    # different settings, and clocks are adjusted in small steps.
    in_force = (jobs.c.lease_until >= now) & (jobs.c.lease_until <= now + 2 * duration)
    expired = (jobs.c.state == "running") & ~in_force
    # On PostgreSQL, a trainer skips the job that another one is acquiring, and takes the next one.
    # SQLite has one writer at a time and ignores the clause.
    oldest = (
        select(jobs.c.id)
        .where(or_(jobs.c.state == "queued", expired))
        .order_by(jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    # Idle trainers poll. A read doesn't block other processes; the write lock would.
    with engine.connect() as connection:
        if not connection.execute(select(oldest)).scalar():
            return None
    with write_transaction(engine) as connection:
        connection.execute(
            update(jobs)
            .where(expired, jobs.c.attempt > MAX_ATTEMPTS)
            .values(
                state="failed",
                error=NO_HEARTBEAT,
                finished_at=now,
                lease_until=None,
                revision=jobs.c.revision + 1,
            )
        )
        # One statement selects and updates, so no two trainers acquire the same job. The new
        # attempt number invalidates the lease of the previous owner.
        row = connection.execute(
            update(jobs)
            .where(jobs.c.id == oldest)
            .values(
                state="running",
                owner=owner,
                attempt=jobs.c.attempt + 1,
                lease_until=now + duration,
                started_at=now,
                progress=None,
                revision=jobs.c.revision + 1,
            )
            .returning(jobs)
        ).first()
    if row is None:
        return None
    return Lease(engine, job_from_row(row), owner, duration, parse_traceparent(row.traceparent))
