"""The job queue: submit, read, list and cancel retrainings, which are rows of the table `jobs`.

`lease` has what a trainer does to a job that it holds, and `job_runner` how it runs the job.
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
from streetlight.service.store.tables import UNFINISHED, jobs
from streetlight.service.store.timestamp import Timestamp
from streetlight.service.validation.fields import MustHold

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Promote = Literal["if_better", "always", "never"]
Trigger = Literal["request", "observations", "accuracy"]

_verdict = TypeAdapter(Verdict)


class JobNotFoundError(LookupError):
    """No job has that id."""


class JobFinishedError(ValueError):
    """The job has ended and can't be cancelled."""


@dataclass(frozen=True)
class JobSpec:
    """The specification of a job, stored as JSON in the column `order`.

    Attributes:
        recipe: how to train.
        promote: whether to promote the version: if it passes the gate, always or never.
        must_hold: patterns that the version must decide as given to pass the gate, in addition
            to those of the settings.
    """

    recipe: Recipe
    promote: Promote = "if_better"
    must_hold: tuple[MustHold, ...] = ()

    def to_json(self) -> str:
        """Return the specification as JSON that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "JobSpec":
        """Return the specification in the JSON `text`."""
        fields = json.loads(text)
        return cls(
            Recipe(**fields["recipe"]),
            fields["promote"],
            tuple(MustHold(tuple(item["lights"]), item["outcome"]) for item in fields["must_hold"]),
        )


@dataclass(frozen=True)
class JobProgress:
    """The progress of a training.

    Attributes:
        restart: the number of the current run; the first is 0.
        seed: the seed of the run.
        iteration: the last pass over the data; the first is 1.
        error: the error in that pass.
        curve: pairs of iteration and error in this run, thinned.
    """

    restart: int
    seed: int
    iteration: int
    error: float
    curve: list[tuple[int, float]]


@dataclass(frozen=True)
class Job:
    """One retraining job: its specification, its state and its result.

    Attributes:
        id: the number of the job.
        state: the state; a job has ended when it is not queued or running.
        trigger: the cause: a request, or a setting for automatic retrainings.
        request_id: the id of the request that submitted the job, if a request did.
        submitted_at: when the job was submitted.
        started_at: when the last attempt started.
        finished_at: when the job ended.
        attempt: the number of attempts so far, without those that a stopping trainer released.
        cancel_requested: whether a running job is to be cancelled.
        revision: increases with every change that a follower of the job should see.
        progress: how far the last attempt got.
        version: the version that the job published.
        promoted: whether that version went live.
        verdict: the result of the promotion gate.
        error: why the job failed.
        recipe: how to train.
        promote: whether to promote the version: if it passes the gate, always or never.
        must_hold: patterns that the version must decide as given to pass the gate.
    """

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
        """Whether the job has ended; an ended job doesn't change."""
        return self.state not in UNFINISHED


def submit(
    engine: Engine,
    spec: JobSpec,
    request_id: str | None,
    trigger: Trigger = "request",
    idempotent: IdempotentRequest | None = None,
) -> Job:
    """Queue a retraining and return the job.

    If `idempotent` was processed before, return the job that it created then.

    Raises:
        KeyReusedError: the key of `idempotent` was used before with another body.
    """
    with ordered_write_transaction(engine) as connection:
        if idempotent and (stored := stored_response(connection, idempotent)):
            return _get(connection, int(stored))
        number = _insert(connection, engine, spec, request_id, trigger)
        if idempotent:
            store_response(connection, engine, idempotent, str(number))
        return _get(connection, number)


def submit_unless_unfinished(engine: Engine, spec: JobSpec, trigger: Trigger) -> Job | None:
    """Queue an automatic retraining and return it; `None` if a job is queued or running."""
    with ordered_write_transaction(engine) as connection:
        query = select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED)).limit(1)
        if connection.execute(query).first():
            return None
        return _get(connection, _insert(connection, engine, spec, None, trigger))


def get(engine: Engine, number: int) -> Job:
    """Return the job with the id `number`.

    Raises:
        JobNotFoundError: no job has that id.
    """
    with engine.connect() as connection:
        return _get(connection, number)


def page(engine: Engine, before: int | None, limit: int) -> list[Job]:
    """Return up to `limit` jobs, newest first, with ids below `before` if it is given."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs.c.id < before)
    with engine.connect() as connection:
        return [job_from_row(row) for row in connection.execute(query)]


def cancel(engine: Engine, number: int) -> Job:
    """Cancel a queued job, or request the cancellation of a running one; return the job.

    A running job ends as cancelled at its next heartbeat, unless its version is published first.

    Raises:
        JobNotFoundError: no job has that id.
        JobFinishedError: the job has ended.
    """
    with write_transaction(engine) as connection:
        revised = {"revision": jobs.c.revision + 1}
        cancelled = connection.execute(
            update(jobs)
            .where(jobs.c.id == number, jobs.c.state == "queued")
            .values(state="cancelled", finished_at=clock(engine), **revised)
        )
        requested = connection.execute(
            update(jobs)
            .where(jobs.c.id == number, jobs.c.state == "running")
            .values(cancel_requested=True, **revised)
        )
        job = _get(connection, number)
    if not cancelled.rowcount and not requested.rowcount:
        raise JobFinishedError(f"job {number} can't be cancelled: its state is {job.state}")
    return job


def last_submission_time(engine: Engine) -> float | None:
    """Return when the newest job was submitted, in seconds since 1970; `None` without jobs."""
    query = select(jobs.c.submitted_at).order_by(jobs.c.id.desc()).limit(1)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def job_from_row(row: Row[Any]) -> Job:
    """Return the job in `row`, a row of the table `jobs`."""
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
    connection: Connection, engine: Engine, spec: JobSpec, request_id: str | None, trigger: Trigger
) -> int:
    values = {"order": spec.to_json(), "trigger": trigger, "request_id": request_id}
    query = insert(jobs).values(state="queued", submitted_at=clock(engine), **values)
    return int(connection.execute(query.returning(jobs.c.id)).scalar_one())


def _get(connection: Connection, number: int) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == number)).first()
    if row is None:
        raise JobNotFoundError(f"no job {number}")
    return job_from_row(row)
