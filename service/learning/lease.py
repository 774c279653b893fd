"""Claims: a trainer's hold on a job, for as long as it gives signs of life.

Every write bears the owner, the attempt and `state = running`: who was paused past its lease finds
that it holds nothing any more, and changes nothing.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, or_, select, update

from streetlight.service.learning.gate import Verdict
from streetlight.service.learning.queue import Job, JobProgress, job_of
from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.tables import jobs

ATTEMPTS = 3
NO_HEARTBEAT = f"its trainer fell silent {ATTEMPTS} times; the trainer's log may say why"


class LeaseLostError(Exception):
    """The lease ran out, and the job is somebody else's or over."""


class CancelledError(Exception):
    """Somebody asked for the job to be cancelled."""


@dataclass(frozen=True)
class Lease:
    """The hold of `owner` on `job`, which is a picture of it as it was claimed."""

    engine: Engine
    job: Job
    owner: str
    lease: float

    def heartbeat(self, progress: JobProgress | None = None) -> None:
        """Extend the lease, and tell how far the training is.

        Raises:
            LostClaimError: it is too late for that.
            CancelledError: somebody asked for the job to be cancelled.
        """
        values: dict[str, Any] = {"lease_until": clock(self.engine) + self.lease}
        if progress is not None:
            values["progress"] = json.dumps(asdict(progress))
            values["revision"] = jobs.c.revision + 1
        if self._write(values):
            raise CancelledError

    def renew(self) -> None:
        """Extend the lease, whether the job is to be cancelled or not: it is too late for that.

        Raises:
            LostClaimError: it is too late for anything.
        """
        self._write({"lease_until": clock(self.engine) + self.lease})

    def succeed(self, version: int, promoted: bool, verdict: Verdict) -> None:
        """End the job: a version came of it.

        Raises:
            LostClaimError: it is somebody else's to end.
        """
        self._end(
            "succeeded",
            version=version,
            promoted=promoted,
            verdict=json.dumps(asdict(verdict)),
        )

    def fail(self, error: str) -> None:
        """End the job: nothing came of it, for the reason given.

        Raises:
            LostClaimError: it is somebody else's to end.
        """
        self._end("failed", error=error)

    def cancel(self) -> None:
        """End the job, as somebody asked.

        Raises:
            LostClaimError: it is somebody else's to end.
        """
        self._end("cancelled")

    def release(self) -> None:
        """Put the job back into the queue, as if it had not been tried.

        Raises:
            LostClaimError: it is somebody else's.
        """
        self._write(
            {
                "state": "queued",
                "owner": None,
                "lease_until": None,
                "progress": None,
                "attempt": jobs.c.attempt - 1,
                "revision": jobs.c.revision + 1,
            }
        )

    def _end(self, state: str, **values: Any) -> None:  # noqa: ANN401 - columns
        ended = {"state": state, "finished_at": clock(self.engine), "lease_until": None}
        self._write(values | ended | {"revision": jobs.c.revision + 1})

    def _write(self, values: dict[str, Any]) -> bool:
        """Write under the fence, and return whether the job is to be cancelled."""
        fenced = (
            update(jobs)
            .where(
                jobs.c.id == self.job.id,
                jobs.c.state == "running",
                jobs.c.owner == self.owner,
                jobs.c.attempt == self.job.attempt,
            )
            .values(values)
            .returning(jobs.c.cancel_requested)
        )
        with write_transaction(self.engine) as connection:
            asked = connection.execute(fenced).scalar()
        if asked is None:
            raise LeaseLostError(f"job {self.job.id} is no longer held by {self.owner}")
        return bool(asked)


def acquire_lease(engine: Engine, owner: str, lease: float) -> Lease | None:
    """Take the oldest job that waits, or whose trainer gives no sign of life any more.

    After three attempts there is one more, to see whether a version had come of them.
    """
    now = clock(engine)
    silent = (jobs.c.state == "running") & (jobs.c.lease_until < now)
    ending = {"finished_at": now, "lease_until": None, "revision": jobs.c.revision + 1}
    waiting = (
        select(jobs.c.id)
        .where(or_(jobs.c.state == "queued", silent))
        .order_by(jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    # Looking first costs a reader nothing; taking the write lock every time would.
    with engine.connect() as connection:
        if not connection.execute(select(waiting)).scalar():
            return None
    with write_transaction(engine) as connection:
        connection.execute(
            update(jobs)
            .where(silent, jobs.c.attempt > ATTEMPTS)
            .values(
                state="failed",
                error=NO_HEARTBEAT,
                **ending,
            )
        )
        row = connection.execute(
            update(jobs)
            .where(jobs.c.id == waiting)
            .values(
                state="running",
                owner=owner,
                attempt=jobs.c.attempt + 1,
                lease_until=now + lease,
                started_at=now,
                progress=None,
                revision=jobs.c.revision + 1,
            )
            .returning(jobs)
        ).first()
    return Lease(engine, job_of(row), owner, lease) if row else None
