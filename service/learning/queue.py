"""Jobs: the queue of retrainings, as rows with a lease.

Who submits, asks and cancels; what a trainer does with a job it holds is in `claims` and
`retraining`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, Row, insert, select, update

from streetlight.model.recipe import Recipe
from streetlight.service.learning.gate import Verdict
from streetlight.service.ledger.idempotency import (
    IdempotentRequest,
    store_response,
    stored_response,
)
from streetlight.service.store.engine import clock, ordered_write_transaction, write_transaction
from streetlight.service.store.tables import jobs
from streetlight.service.store.timestamp import Timestamp
from streetlight.service.validation.fields import MustHold

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Promote = Literal["if_better", "always", "never"]
Trigger = Literal["request", "observations", "accuracy"]

UNFINISHED = ("queued", "running")

_verdict = TypeAdapter(Verdict)


class JobNotFoundError(LookupError):
    """There is no job of that id."""


class JobFinishedError(ValueError):
    """The job is over, and can't be cancelled any more."""


@dataclass(frozen=True)
class JobSpec:
    """What a job is to do: train so, and promote so; the patterns in `must_hold` must be kept."""

    recipe: Recipe
    promote: Promote = "if_better"
    must_hold: tuple[MustHold, ...] = ()

    def to_json(self) -> str:
        """Write what `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "JobSpec":
        """Read what is in the table."""
        fields = json.loads(text)
        return cls(
            Recipe(**fields["recipe"]),
            fields["promote"],
            tuple(MustHold(tuple(item["lights"]), item["outcome"]) for item in fields["must_hold"]),
        )


@dataclass(frozen=True)
class JobProgress:
    """How far the training is: the run, its seed, iteration and error, and its curve, thinned."""

    restart: int
    seed: int
    iteration: int
    error: float
    curve: list[tuple[int, float]]


@dataclass(frozen=True)
class Job:
    """One retraining: what it is to do, as in `JobSpec`, and what became of it."""

    id: int
    state: State
    trigger: Trigger
    request_id: str | None
    submitted_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    attempt: int
    cancel_requested: bool
    revision: int
    progress: JobProgress | None
    version: int | None
    promoted: bool | None
    verdict: Verdict | None
    error: str | None
    recipe: Recipe
    promote: Promote
    must_hold: tuple[MustHold, ...]

    @property
    def finished(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state not in UNFINISHED


def submit(
    engine: Engine,
    order: JobSpec,
    request_id: str | None,
    trigger: Trigger = "request",
    idempotent: IdempotentRequest | None = None,
) -> Job:
    """Queue a retraining.

    Raises:
        KeyReusedError: the key of `idempotent` came before, with another body.
    """
    with ordered_write_transaction(engine) as connection:
        if idempotent and (before := stored_response(connection, idempotent)):
            return _get(connection, int(before))
        number = _insert(connection, engine, order, request_id, trigger)
        if idempotent:
            store_response(connection, engine, idempotent, str(number))
        return _get(connection, number)


def submit_unless_waiting(engine: Engine, order: JobSpec, trigger: Trigger) -> Job | None:
    """Queue a retraining that nobody asked for, unless a job is waiting or running already."""
    with ordered_write_transaction(engine) as connection:
        query = select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED)).limit(1)
        if connection.execute(query).first():
            return None
        return _get(connection, _insert(connection, engine, order, None, trigger))


def get(engine: Engine, number: int) -> Job:
    """Return a job.

    Raises:
        JobNotFoundError: there is none of that id.
    """
    with engine.connect() as connection:
        return _get(connection, number)


def page(engine: Engine, before: int | None, limit: int) -> list[Job]:
    """Return jobs, newest first, from below id `before` on."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs.c.id < before)
    with engine.connect() as connection:
        return [job_of(row) for row in connection.execute(query)]


def cancel(engine: Engine, number: int) -> Job:
    """Cancel a job: at once where it waits, at its next sign of life where it runs.

    Raises:
        JobNotFoundError: there is none of that id.
        JobFinishedError: it is over.
    """
    with write_transaction(engine) as connection:
        revised = {"revision": jobs.c.revision + 1}
        waiting = connection.execute(
            update(jobs)
            .where(jobs.c.id == number, jobs.c.state == "queued")
            .values(state="cancelled", finished_at=clock(engine), **revised)
        )
        running = connection.execute(
            update(jobs)
            .where(jobs.c.id == number, jobs.c.state == "running")
            .values(cancel_requested=True, **revised)
        )
        job = _get(connection, number)
    if not waiting.rowcount and not running.rowcount:
        raise JobFinishedError(f"job {number} has {job.state} already")
    return job


def last_submitted(engine: Engine) -> float | None:
    """Return when a job was submitted last, whoever did."""
    query = select(jobs.c.submitted_at).order_by(jobs.c.id.desc()).limit(1)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def job_of(row: Row[Any]) -> Job:
    """Return the job in a row of the table."""
    names = Job.__dataclass_fields__.keys() & row._fields
    fields = {name: getattr(row, name) for name in names}
    progress = json.loads(row.progress) if row.progress else None
    return Job(
        **fields
        | vars(JobSpec.from_json(row.order))
        | {
            "progress": JobProgress(**progress) if progress else None,
            "verdict": _verdict.validate_json(row.verdict) if row.verdict else None,
        }
    )


def _insert(
    connection: Connection, engine: Engine, order: JobSpec, request_id: str | None, trigger: Trigger
) -> int:
    values = {"order": order.to_json(), "trigger": trigger, "request_id": request_id}
    query = insert(jobs).values(state="queued", submitted_at=clock(engine), **values)
    return int(connection.execute(query.returning(jobs.c.id)).scalar_one())


def _get(connection: Connection, number: int) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == number)).first()
    if row is None:
        raise JobNotFoundError(f"no job {number}")
    return job_of(row)
