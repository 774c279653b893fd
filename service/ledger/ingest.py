"""Recording: new rows for the ledger, each with a verdict, all in one transaction.

Reading the ledger, and taking rows back, is in `observations`.
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
from streetlight.service.ledger.idempotency import (
    IdempotentRequest,
    store_response,
    stored_response,
)
from streetlight.service.store.engine import clock, ordered_write_transaction
from streetlight.service.store.tables import observations as table

MAX_CONTRADICTIONS = 10
MAX_LIGHTS = 64
CHUNK = 1000

# An answer names only what there is to tell.
UNLESS_EMPTY = Field(exclude_if=operator.not_)


@dataclass(frozen=True)
class NewObservation:
    """One thing that was seen, as it is handed in."""

    lights: tuple[float, ...]
    outcome: Outcome
    client_id: str | None = None


@dataclass(frozen=True)
class RowResult:
    """What became of one row: its id in the ledger, or what is wrong with it.

    Where that is an `id` of the caller's that another row has, `id` is that other row.
    """

    verdict: Literal["accepted", "contradicts", "duplicate", "rejected"]
    id: Annotated[int | None, UNLESS_EMPTY] = None
    contradicts: Annotated[list[int], UNLESS_EMPTY] = field(default_factory=list)
    error: Annotated[str | None, UNLESS_EMPTY] = None


def record(
    engine: Engine,
    rows: Sequence[NewObservation | str],
    live: Version | None,
    source: str,
    idempotent: IdempotentRequest | None = None,
) -> list[RowResult]:
    """Add rows to the ledger and return a verdict for each; they are durable then.

    Args:
        engine: of the database.
        rows: what was seen; a text instead says why that row is rejected.
        live: the version that is asked what it says, before it can learn from it.
        source: where they come from.
        idempotent: a key with which the same call may come again: it gets the same verdicts.

    Raises:
        KeyReusedError: the key came before, with other rows.
    """
    with ordered_write_transaction(engine) as connection:
        if idempotent and (before := stored_response(connection, idempotent)):
            return [RowResult(**verdict) for verdict in json.loads(before)]
        verdicts = record_in(connection, engine, rows, live, source)
        if idempotent:
            store_response(
                connection, engine, idempotent, json.dumps([asdict(v) for v in verdicts])
            )
        return verdicts


def record_in(
    connection: Connection,
    engine: Engine,
    rows: Sequence[NewObservation | str],
    live: Version | None,
    source: str,
) -> list[RowResult]:
    """Do what `record` does in the transaction of `connection`, an `ordered_write_transaction`."""
    return _Ingest(connection, engine, live, source).record(rows)


class _Ingest:
    """One transaction's worth of new rows."""

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
        self.against: dict[tuple[str, int], list[int]] = {}

    def record(self, rows: Sequence[NewObservation | str]) -> list[RowResult]:
        known = self._known([row.client_id for row in rows if isinstance(row, NewObservation)])
        verdicts, new = [], []
        for row in rows:
            if isinstance(row, str):
                verdicts.append(RowResult("rejected", error=row))
                continue
            lights = json.dumps(row.lights)
            outcome = int(row.outcome == "walk")
            if row.client_id is not None and row.client_id in known:
                verdicts.append(_again(known[row.client_id], lights, outcome))
                continue
            if len(row.lights) > MAX_LIGHTS:
                error = f"lights: expected at most {MAX_LIGHTS} lights, got {len(row.lights)}"
                verdicts.append(RowResult("rejected", error=error))
                continue
            if self.light_count not in (None, len(row.lights)):
                error = f"lights: the ledger is of {self.light_count} lights, got {len(row.lights)}"
                verdicts.append(RowResult("rejected", error=error))
                continue
            self.light_count = len(row.lights)
            number, self.next_id = self.next_id, self.next_id + 1
            against = self._against(lights, 1 - outcome)
            verdicts.append(
                RowResult("contradicts" if against else "accepted", number, list(against))
            )
            same = self._against(lights, outcome)
            if len(same) < MAX_CONTRADICTIONS:
                same.append(number)
            if row.client_id is not None:
                known[row.client_id] = (number, lights, outcome)
            new.append(
                {
                    "id": number,
                    "client_id": row.client_id,
                    "at": self.now,
                    "lights": lights,
                    "outcome": outcome,
                    "source": self.source,
                    **self._said(row.lights),
                }
            )
        if new:
            self.connection.execute(insert(table), new)
        return verdicts

    def _known(self, client_ids: Sequence[str | None]) -> dict[str, tuple[int, str, int]]:
        wanted = [client_id for client_id in client_ids if client_id is not None]
        known: dict[str, tuple[int, str, int]] = {}
        for start in range(0, len(wanted), CHUNK):
            query = select(table.c.client_id, table.c.id, table.c.lights, table.c.outcome).where(
                table.c.client_id.in_(wanted[start : start + CHUNK])
            )
            known |= {row[0]: (row[1], row[2], row[3]) for row in self.connection.execute(query)}
        return known

    def _against(self, lights: str, outcome: int) -> list[int]:
        """The first ids with these lights and that outcome; those of this call are added to it."""
        if (lights, outcome) not in self.against:
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
            self.against[lights, outcome] = list(self.connection.execute(query).scalars())
        return self.against[lights, outcome]

    def _said(self, lights: Sequence[float]) -> dict[str, Any]:
        if self.live is None or self.live.network.light_count != len(lights):
            return {"version": None, "said": None}
        return {
            "version": self.live.number,
            "said": int(outcome_name(self.live.network.score(lights)) == "walk"),
        }


def _again(before: tuple[int, str, int], lights: str, outcome: int) -> RowResult:
    number, same_lights, same_outcome = before
    if (same_lights, same_outcome) == (lights, outcome):
        return RowResult("duplicate", number)
    return RowResult(
        "rejected", number, error=f"id: observation {number} has it, and is another one"
    )
