"""Ingest: add observations to the ledger, with a result for each, in one transaction.

`queries` reads the ledger and withdraws observations.
"""

import json
import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection, Engine, func, insert, select

from streetlight.model.dataset import Outcome, outcome_name
from streetlight.model.registry.version import Version
from streetlight.service.store.engine import clock, ordered_write_transaction
from streetlight.service.store.idempotency import (
    IdempotentRequest,
    store_response,
    stored_response,
)
from streetlight.service.store.tables import observations as table
from streetlight.service.validation.fields import MAX_LIGHTS

# The number of ids listed for an observation that contradicts others.
MAX_CONTRADICTIONS = 10
MAX_LIGHTS_PER_OBSERVATION = MAX_LIGHTS
# The number of client ids looked up by one query; databases limit the parameters of a statement.
LOOKUP_BATCH_SIZE = 1000

OMIT_IF_EMPTY = Field(exclude_if=operator.not_)


@dataclass(frozen=True)
class NewObservation:
    """An observation to add. Two observations can't have the same `client_id`."""

    lights: tuple[float, ...]
    outcome: Outcome
    client_id: str | None = None


@dataclass(frozen=True)
class RowResult:
    """The result for one observation.

    Observations with the verdicts `accepted` and `contradicts` are recorded; a `duplicate` was
    recorded before. `id` is the number in the ledger; for a duplicate, or if another observation
    has the client's own id, it is the number of the earlier observation. `contradicts` lists up to
    10 observations with the same lights and the other outcome. `error` is the reason why the
    observation was rejected. Empty fields are omitted.
    """

    verdict: Literal["accepted", "contradicts", "duplicate", "rejected"]
    id: Annotated[int | None, OMIT_IF_EMPTY] = None
    contradicts: Annotated[list[int], OMIT_IF_EMPTY] = field(default_factory=list)
    error: Annotated[str | None, OMIT_IF_EMPTY] = None


def record(
    engine: Engine,
    rows: Sequence[NewObservation | str],
    live: Version | None,
    source: str,
    idempotent: IdempotentRequest | None = None,
) -> list[RowResult]:
    """Add observations to the ledger and return a result for each, after the commit.

    Args:
        engine: the engine of the database.
        rows: the observations; a string is the error message of a row that was rejected before.
        live: the live version, whose prediction is stored with each observation.
        source: the origin of the observations, such as `api` or a file name.
        idempotent: the request, if it has an idempotency key. If the request was processed before,
            nothing is added and the results are those of the first time.

    Raises:
        KeyReusedError: the key of `idempotent` was used before with another body.
    """
    with ordered_write_transaction(engine) as connection:
        if idempotent and (stored := stored_response(connection, idempotent)):
            return [RowResult(**result) for result in json.loads(stored)]
        results = record_in_transaction(connection, engine, rows, live, source)
        if idempotent:
            response = json.dumps([asdict(result) for result in results])
            store_response(connection, engine, idempotent, response)
        return results


def record_in_transaction(
    connection: Connection,
    engine: Engine,
    rows: Sequence[NewObservation | str],
    live: Version | None,
    source: str,
) -> list[RowResult]:
    """Do what `record` does, in the given `ordered_write_transaction`, without committing."""
    return _Ingest(connection, engine, live, source).record(rows)


class _Ingest:
    """The ingest of one transaction, with a cache of the ledger rows that it looks up."""

    def __init__(
        self, connection: Connection, engine: Engine, live: Version | None, source: str
    ) -> None:
        self.connection = connection
        self.live = live
        self.source = source
        now, last = connection.execute(select(clock(engine), func.max(table.c.id))).one()
        self.now: float = now
        self.next_id: int = (last or 0) + 1
        first = connection.execute(
            select(table.c.lights).where(table.c.withdrawn_at.is_(None)).limit(1)
        ).scalar()
        self.light_count: int | None = len(json.loads(first)) if first else None
        self.ids: dict[tuple[str, int], list[int]] = {}

    def record(self, rows: Sequence[NewObservation | str]) -> list[RowResult]:
        existing = self._rows_by_client_id(
            [row.client_id for row in rows if isinstance(row, NewObservation)]
        )
        results, inserts = [], []
        for row in rows:
            if isinstance(row, str):
                results.append(RowResult("rejected", error=row))
                continue
            lights = json.dumps(row.lights)
            outcome = int(row.outcome == "walk")
            if row.client_id is not None and row.client_id in existing:
                results.append(_repeated(existing[row.client_id], lights, outcome))
                continue
            if error := self._light_count_error(len(row.lights)):
                results.append(RowResult("rejected", error=error))
                continue
            self.light_count = len(row.lights)
            number, self.next_id = self.next_id, self.next_id + 1
            contradicted = self._ids_of(lights, 1 - outcome)
            results.append(
                RowResult("contradicts" if contradicted else "accepted", number, list(contradicted))
            )
            equal = self._ids_of(lights, outcome)
            if len(equal) < MAX_CONTRADICTIONS:
                equal.append(number)
            if row.client_id is not None:
                existing[row.client_id] = (number, lights, outcome)
            inserts.append(
                {
                    "id": number,
                    "client_id": row.client_id,
                    "at": self.now,
                    "lights": lights,
                    "outcome": outcome,
                    "source": self.source,
                    **self._prediction_columns(row.lights),
                }
            )
        if inserts:
            self.connection.execute(insert(table), inserts)
        return results

    def _rows_by_client_id(
        self, client_ids: Sequence[str | None]
    ) -> dict[str, tuple[int, str, int]]:
        """Return the id, lights and outcome of the ledger rows with these client ids."""
        given = [client_id for client_id in client_ids if client_id is not None]
        rows: dict[str, tuple[int, str, int]] = {}
        for start in range(0, len(given), LOOKUP_BATCH_SIZE):
            query = select(table.c.client_id, table.c.id, table.c.lights, table.c.outcome).where(
                table.c.client_id.in_(given[start : start + LOOKUP_BATCH_SIZE])
            )
            rows |= {row[0]: (row[1], row[2], row[3]) for row in self.connection.execute(query)}
        return rows

    def _light_count_error(self, count: int) -> str | None:
        if count > MAX_LIGHTS_PER_OBSERVATION:
            return f"lights: expected at most {MAX_LIGHTS_PER_OBSERVATION} lights, got {count}"
        if self.light_count not in (None, count):
            return f"lights: expected {self.light_count} lights, as in the ledger, got {count}"
        return None

    def _ids_of(self, lights: str, outcome: int) -> list[int]:
        """Return the first ids with these lights and this outcome, from the cache.

        The caller appends the ids that it assigns to the returned list.
        """
        if (lights, outcome) not in self.ids:
            query = (
                select(table.c.id)
                .where(
                    table.c.lights == lights,
                    table.c.outcome == outcome,
                    table.c.withdrawn_at.is_(None),
                )
                .order_by(table.c.id)
                .limit(MAX_CONTRADICTIONS)
            )
            self.ids[lights, outcome] = list(self.connection.execute(query).scalars())
        return self.ids[lights, outcome]

    def _prediction_columns(self, lights: Sequence[float]) -> dict[str, Any]:
        """Return the columns with the prediction of the live version; null if it can't predict."""
        if self.live is None or self.live.network.light_count != len(lights):
            return {"version": None, "said": None}
        return {
            "version": self.live.number,
            "said": int(outcome_name(self.live.network.score(lights)) == "walk"),
        }


def _repeated(existing: tuple[int, str, int], lights: str, outcome: int) -> RowResult:
    """Return the result for an observation whose client id belongs to the row `existing`."""
    number, existing_lights, existing_outcome = existing
    if (existing_lights, existing_outcome) == (lights, outcome):
        return RowResult("duplicate", number)
    return RowResult(
        "rejected",
        number,
        error=f"id: observation {number} has this id and other content; use a new id",
    )
