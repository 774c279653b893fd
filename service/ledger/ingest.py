"""Ingest: add observations to the ledger, with a result for each, in one transaction.

`queries` reads the ledger and withdraws observations.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

import numpy as np
from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.exc import DBAPIError

from streetlight.model.dataset import Outcome, is_walk
from streetlight.model.registry.version import Version
from streetlight.service.ledger.contradictions import contradicted_ids
from streetlight.service.prediction_log.lookup import Key, Lookup
from streetlight.service.store.engine import clock, describe, ordered_write_transaction
from streetlight.service.store.idempotency import (
    IdempotentRequest,
    store_response,
    stored_response,
)
from streetlight.service.store.tables import observations as table
from streetlight.service.validation.fields import MAX_LIGHTS, OMIT_IF_EMPTY

# The number of client ids looked up by one query; databases limit the parameters of a statement.
LOOKUP_BATCH_SIZE = 1000

# The columns in which a repeated row equals the first one.
CONTENT = ("lights", "outcome", "request_id")
Content = tuple[object, ...]
logger = logging.getLogger(__name__)
Found = Literal["found", "missing"]


@dataclass(frozen=True)
class NewObservation:
    """An observation to add. Two observations can't have the same `client_id`.

    `request_id` is the id of the prediction that it answers, if it names one.
    """

    lights: tuple[float, ...]
    outcome: Outcome
    client_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class RowResult:
    """The result for one observation.

    Observations with the verdicts `accepted` and `contradicts` are recorded; a `duplicate` was
    recorded before. `id` is the number in the ledger; for a duplicate, or if another observation
    has the client's own id, it is the number of the earlier observation. `contradicts` lists up to
    10 observations with the same lights and the other outcome. `prediction` is whether the log has
    the prediction that a recorded observation names. `error` is the reason why the observation was
    rejected. Empty fields are omitted.
    """

    verdict: Literal["accepted", "contradicts", "duplicate", "rejected"]
    id: Annotated[int | None, OMIT_IF_EMPTY] = None
    contradicts: Annotated[list[int], OMIT_IF_EMPTY] = field(default_factory=list)
    prediction: Annotated[Found | None, OMIT_IF_EMPTY] = None
    error: Annotated[str | None, OMIT_IF_EMPTY] = None


def record(
    engine: Engine,
    rows: Sequence[NewObservation | str],
    live: Version | None,
    source: str,
    idempotent: IdempotentRequest | None = None,
    *,
    log: Lookup | None = None,
    before_lock: Callable[[], None] = lambda: None,
) -> list[RowResult]:
    """Add observations to the ledger and return a result for each, after the commit.

    Args:
        engine: the engine of the database.
        rows: the observations; a string is the error message of a row that was rejected before.
        live: the live version, whose prediction is stored with each observation that names none.
        source: the origin of the observations, such as `api` or a file name.
        idempotent: the request, if it has an idempotency key. If the request was processed before,
            nothing is added and the results are those of the first time.
        log: finds the predictions that observations name; `None` if there is no prediction log.
        before_lock: called before this waits for the log and for the lock of the ledger.

    Raises:
        KeyReusedError: the key of `idempotent` was used before with another body.
    """
    prepared = prepare(rows, live)
    before_lock()
    prepared = _with_logged_predictions(prepared, log)
    with ordered_write_transaction(engine) as connection:
        if idempotent and (stored := stored_response(connection, idempotent)):
            return [RowResult(**result) for result in json.loads(stored)]
        results = record_in_transaction(connection, engine, prepared, source)
        if idempotent:
            response = json.dumps([asdict(result) for result in results])
            store_response(connection, engine, idempotent, response)
        return results


@dataclass(frozen=True)
class PreparedRow:
    """An observation with all columns that don't depend on the rows of the ledger."""

    light_count: int
    columns: dict[str, Any]

    @property
    def prediction(self) -> Key | None:
        """The prediction that it names."""
        name = self.columns["request_id"]
        return None if name is None else Key(name, self.columns["lights"])

    @property
    def found(self) -> Found | None:
        """Whether the log has that prediction; `None` if it names none."""
        if self.prediction is None:
            return None
        return "missing" if self.columns["version"] is None else "found"


def prepare(rows: Sequence[NewObservation | str], live: Version | None) -> list[PreparedRow | str]:
    """Return the rows with the predictions of the live version; null if it can't predict a row.

    Rows that name a prediction are left without. This needs no lock. A wide network may take
    seconds for many rows.
    """
    said: dict[int, int] = {}
    if live is not None:
        lights = {
            i: row.lights
            for i, row in enumerate(rows)
            if isinstance(row, NewObservation)
            and row.request_id is None
            and len(row.lights) == live.network.light_count
        }
        if lights:
            walk = is_walk(live.network.scores(np.array(list(lights.values()))))
            said = dict(zip(lights, walk.astype(int).tolist(), strict=True))
    return [
        row
        if isinstance(row, str)
        else PreparedRow(
            len(row.lights),
            {
                "client_id": row.client_id,
                "request_id": row.request_id,
                "lights": json.dumps(row.lights),
                "outcome": int(row.outcome == "walk"),
                "version": live.number if live and i in said else None,
                "said": said.get(i),
            },
        )
        for i, row in enumerate(rows)
    ]


def _with_logged_predictions(
    rows: list[PreparedRow | str], log: Lookup | None
) -> list[PreparedRow | str]:
    """Return the rows with the predictions that they name, as far as the log has them."""
    named = {row.prediction for row in rows if isinstance(row, PreparedRow) and row.prediction}
    if log is None or not named:
        return rows
    try:
        logged = log.find(named)
    except DBAPIError as error:  # an observation is worth more than its link to a prediction
        logger.warning("%s; observations are recorded without their predictions", describe(error))
        return rows
    return [
        replace(row, columns=row.columns | logged[row.prediction]._asdict())
        if isinstance(row, PreparedRow) and row.prediction in logged
        else row
        for row in rows
    ]


def record_in_transaction(
    connection: Connection, engine: Engine, rows: Sequence[PreparedRow | str], source: str
) -> list[RowResult]:
    """Do what `record` does, in the given `ordered_write_transaction`, without committing."""
    now, last = connection.execute(select(clock(engine), func.max(table.c.id))).one()
    next_id = first_id = (last or 0) + 1
    existing = _rows_by_client_id(connection, rows)
    light_count = _light_count(connection)
    results, inserts = [], []
    for row in rows:
        if isinstance(row, str):
            results.append(RowResult("rejected", error=row))
            continue
        content = tuple(row.columns[name] for name in CONTENT)
        client_id = row.columns["client_id"]
        if client_id is not None and client_id in existing:
            results.append(_repeated(existing[client_id], content))
            continue
        if error := _light_count_error(row.light_count, light_count):
            results.append(RowResult("rejected", error=error))
            continue
        light_count = row.light_count
        if client_id is not None:
            existing[client_id] = (next_id, content)
        results.append(RowResult("accepted", next_id, prediction=row.found))
        inserts.append({"id": next_id, "at": now, "source": source, **row.columns})
        next_id += 1
    if not inserts:
        return results
    connection.execute(insert(table), inserts)
    contradicted = contradicted_ids(connection, first_id, next_id - 1)
    return [
        replace(result, verdict="contradicts", contradicts=contradicted[result.id])
        if result.verdict == "accepted" and result.id in contradicted
        else result
        for result in results
    ]


def _rows_by_client_id(
    connection: Connection, rows: Sequence[PreparedRow | str]
) -> dict[str, tuple[int, Content]]:
    """Return the id and the content of the ledger's rows that have the client ids of `rows`."""
    given = [
        row.columns["client_id"]
        for row in rows
        if isinstance(row, PreparedRow) and row.columns["client_id"] is not None
    ]
    existing: dict[str, tuple[int, Content]] = {}
    content = [table.c[name] for name in CONTENT]
    for start in range(0, len(given), LOOKUP_BATCH_SIZE):
        query = select(table.c.client_id, table.c.id, *content).where(
            table.c.client_id.in_(given[start : start + LOOKUP_BATCH_SIZE])
        )
        existing |= {row[0]: (row[1], tuple(row[2:])) for row in connection.execute(query)}
    return existing


def _light_count(connection: Connection) -> int | None:
    """Return the number of lights of the ledger's rows; `None` if there is no row."""
    query = select(table.c.lights).where(table.c.withdrawn_at.is_(None)).limit(1)
    lights = connection.execute(query).scalar()
    return len(json.loads(lights)) if lights else None


def _light_count_error(count: int, expected: int | None) -> str | None:
    if count > MAX_LIGHTS:
        return f"lights: expected at most {MAX_LIGHTS} lights, got {count}"
    if expected not in (None, count):
        return f"lights: expected {expected} lights, as in the ledger, got {count}"
    return None


def _repeated(existing: tuple[int, Content], content: Content) -> RowResult:
    """Return the result for an observation whose client id belongs to the row `existing`."""
    number, existing_content = existing
    if existing_content == content:
        return RowResult("duplicate", number)
    return RowResult(
        "rejected",
        number,
        error=f"id: observation {number} has this id and other content; use a new id",
    )
