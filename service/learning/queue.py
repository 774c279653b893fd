"""The job queue: submit, read, list and cancel retrainings, which are rows of the table `jobs`.

`job` has the job itself, `lease` what a trainer does to a job that it holds, and `job_runner` how
it runs the job.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select, update

from streetlight.model.dataset import Dataset
from streetlight.service.learning.job import Job, JobSpec, Trigger, job_from_row
from streetlight.service.learning.training_data import store_rows
from streetlight.service.ledger import queries
from streetlight.service.ledger.queries import Filter
from streetlight.service.observability.trace_context import current_trace
from streetlight.service.store.engine import clock, ordered_write_transaction, write_transaction
from streetlight.service.store.idempotency import (
    IdempotentRequest,
    store_response,
    stored_response,
)
from streetlight.service.store.tables import UNFINISHED, jobs, observations

# The length of the texts in the rows of a page, above which the page ends.
MAX_PAGE_CHARACTERS = 1_000_000
MAX_UNSUCCESSFUL = 50


class JobNotFoundError(LookupError):
    """No job has that id."""


class JobFinishedError(ValueError):
    """The job has ended and can't be cancelled."""


def submit(
    engine: Engine,
    spec: JobSpec,
    request_id: str | None,
    trigger: Trigger = "request",
    idempotent: IdempotentRequest | None = None,
    *,
    rows: Dataset | None = None,
    key: str | None = None,
) -> Job:
    """Queue a retraining and return the job; `rows` are those of the request, if it has any.

    `key` is the name of the API key of the request.

    If `idempotent` was processed before, return the job that it created then.

    Raises:
        KeyReusedError: the key of `idempotent` was used before with another body.
    """
    spec = _counted(engine, spec)
    with ordered_write_transaction(engine) as connection:
        if idempotent and (stored := stored_response(connection, idempotent)):
            return _get(connection, int(stored))
        number = _insert(connection, engine, spec, request_id, trigger, key=key)
        if rows is not None:
            store_rows(connection, number, rows)
        if idempotent:
            store_response(connection, engine, idempotent, str(number))
        return _get(connection, number)


def submit_unless_unfinished(
    engine: Engine, spec: JobSpec, trigger: Trigger, live: int | None
) -> Job | None:
    """Queue an automatic retraining and return it; `None` if a job is queued or running.

    `live` is the number of the live version.
    """
    spec = _counted(engine, spec)
    with ordered_write_transaction(engine) as connection:
        query = select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED)).limit(1)
        if connection.execute(query).first():
            return None
        return _get(connection, _insert(connection, engine, spec, None, trigger, live=live))


def get(engine: Engine, number: int) -> Job:
    """Return the job with the id `number`.

    Raises:
        JobNotFoundError: no job has that id.
    """
    with engine.connect() as connection:
        return _get(connection, number)


def page(engine: Engine, after: int | None, limit: int) -> tuple[list[Job], int | None]:
    """Return up to `limit` jobs, newest first, and the `after` of the next page, if there is one.

    A page has fewer jobs if they are large.

    Args:
        engine: the engine of the database.
        after: the jobs are those after the one with this id: older, with smaller ids.
        limit: the largest number of jobs.
    """
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(jobs.c.id < after)
    found: list[Job] = []
    size = 0
    # One row at a time: release 0.1.0 stored verdicts of many megabytes.
    options = {"stream_results": True, "max_row_buffer": 1}
    with (
        engine.connect().execution_options(**options) as connection,
        connection.execute(query) as rows,
    ):
        for row in rows:
            size += sum(len(text or "") for text in (row.order, row.progress, row.verdict))
            if len(found) == limit or (found and size > MAX_PAGE_CHARACTERS):
                return found, found[-1].id
            found.append(job_from_row(row))
    return found, None


def unfinished(engine: Engine) -> list[int]:
    """Return the ids of the jobs that haven't ended."""
    with engine.connect() as connection:
        return list(
            connection.execute(select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED))).scalars()
        )


def changed(
    engine: Engine, revisions: Mapping[int, int], after: int | None = None
) -> tuple[list[Job], set[int]]:
    """Return the jobs that have ended, or whose revision is above that in `revisions`, by id.

    The second value has the ids of the jobs that don't exist any more.

    Args:
        engine: the engine of the database.
        revisions: the last known revision of each job, by the id of the job.
        after: if it is given, the jobs with ids above this number are returned, too.
    """
    found = {}
    numbers, missing = list(revisions), set(revisions)
    wanted: list[ColumnElement[bool]] = [] if after is None else [jobs.c.id > after]
    # A bound of variables, which every database has.
    for start in range(0, len(numbers), 500):
        wanted.append(jobs.c.id.in_(numbers[start : start + 500]))
    with engine.connect() as connection:
        for condition in wanted:
            query = select(jobs.c.id, jobs.c.revision, jobs.c.state).where(condition)
            for number, revision, state in connection.execute(query).all():
                missing.discard(number)
                if revision > revisions.get(number, -1) or state not in UNFINISHED:
                    found[number] = _get(connection, number)
    return [found[number] for number in sorted(found)], missing


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


def last_observation(engine: Engine) -> int:
    """Return the id of the observation that was the newest when the newest job was submitted.

    Jobs that don't learn from the ledger aren't considered. An id and not a time, because clocks
    can be set back. 0 if there was no observation, if there is no job, or if a version of
    Streetlight that stored no id submitted the job.
    """
    with engine.connect() as connection:
        return _last_observation(connection)


def _last_observation(connection: Connection) -> int:
    order = connection.execute(select(jobs.c.order).order_by(jobs.c.id.desc()).limit(1)).scalar()
    return int(json.loads(order).get("last_observation", 0)) if order else 0


def _counted(engine: Engine, spec: JobSpec) -> JobSpec:
    """Return `spec` with the number of the ledger's observations, if the job learns from them.

    They are counted before the transaction: for a million, the lock would be held too long.
    """
    if spec.data.source != "ledger":
        return spec
    return replace(spec, data=replace(spec.data, rows=queries.count(engine, Filter())))


def unsuccessful(engine: Engine, live: int | None) -> int:
    """Return how many automatic jobs in a row failed or promoted nothing, the newest first.

    Those are counted that were submitted since the version `live` is live: after a promotion, by a
    job or by a client, the number is 0. Jobs beyond the newest `MAX_UNSUCCESSFUL` aren't read.
    """
    query = select(jobs.c.order, jobs.c.trigger, jobs.c.promoted).order_by(jobs.c.id.desc())
    with engine.connect() as connection:
        rows = connection.execute(query.limit(MAX_UNSUCCESSFUL)).all()
    count = 0
    for order, trigger, promoted in rows:
        if promoted:
            break
        if trigger != "request":
            if json.loads(order).get("live") != live:
                break
            count += 1
    return count


def _insert(
    connection: Connection,
    engine: Engine,
    spec: JobSpec,
    request_id: str | None,
    trigger: Trigger,
    *,
    live: int | None = None,
    key: str | None = None,
) -> int:
    # The caller holds the lock of the ledger, so a later observation has a greater id.
    if spec.data.source == "ledger":
        newest = connection.execute(select(func.max(observations.c.id))).scalar() or 0
        spec = replace(spec, data=replace(spec.data, last_id=newest))
    else:
        newest = _last_observation(connection)
    trace = current_trace.get()
    values = {
        "order": spec.to_json(newest, live),
        "trigger": trigger,
        "request_id": request_id,
        "key": key,
        "traceparent": trace and trace.traceparent,
    }
    query = insert(jobs).values(state="queued", submitted_at=clock(engine), **values)
    return int(connection.execute(query.returning(jobs.c.id)).scalar_one())


def _get(connection: Connection, number: int) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == number)).first()
    if row is None:
        raise JobNotFoundError(f"no job {number}")
    return job_from_row(row)
