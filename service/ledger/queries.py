"""Observations: the ledger of what people saw, from which the network learns.

Rows are added (in `recording`) and withdrawn, never changed. What is learnt from them is put
together in `load_training_set`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, Select, func, select, update

from streetlight.model.dataset import Outcome
from streetlight.service.store.engine import clock, ordered_write_transaction
from streetlight.service.store.tables import observations as table
from streetlight.service.store.timestamp import Timestamp

CHUNK = 1000


class ObservationNotFoundError(LookupError):
    """There is no observation of that id."""


@dataclass(frozen=True)
class Observation:
    """One row of the ledger; `version` said `said` to it when it came."""

    id: int
    client_id: str | None
    at: Timestamp
    lights: list[float]
    outcome: Outcome
    source: str
    version: int | None
    said: Outcome | None
    withdrawn: bool


@dataclass(frozen=True)
class Filter:
    """Which rows to list; `None` takes any."""

    outcome: Outcome | None = None
    since: float | None = None
    version: int | None = None
    source: str | None = None


def withdraw(engine: Engine, number: int) -> Observation:
    """Take a row back: it stays on record, but nothing learns from it any more.

    Raises:
        ObservationNotFoundError: there is none of that id.
    """
    with ordered_write_transaction(engine) as connection:
        connection.execute(
            update(table)
            .where(table.c.id == number, table.c.withdrawn_at.is_(None))
            .values(withdrawn_at=clock(engine))
        )
        row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        raise ObservationNotFoundError(f"no observation {number}")
    return _observation(row)


def page(engine: Engine, wanted: Filter, after: int, limit: int) -> list[Observation]:
    """Return the next rows after id `after`, ascending.

    Ids come in the order of commits, so whoever goes on from the last id misses nothing and sees
    nothing twice, however many rows arrive meanwhile.
    """
    query = _wanted(wanted).where(table.c.id > after).order_by(table.c.id).limit(limit)
    with engine.connect() as connection:
        return [_observation(row) for row in connection.execute(query)]


def stream(engine: Engine, wanted: Filter) -> Iterator[list[Observation]]:
    """Yield every row, ascending, a thousand at a time."""
    after = 0
    while rows := page(engine, wanted, after, CHUNK):
        yield rows
        after = rows[-1].id


def count(engine: Engine, wanted: Filter) -> int:
    """Return how many rows there are that are not withdrawn."""
    query = select(func.count()).select_from(
        _wanted(wanted).where(table.c.withdrawn_at.is_(None)).subquery()
    )
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def count_since(engine: Engine, since: float | None, at_most: int) -> int:
    """Return how many rows have come since, `at_most` at most; the lab's own don't count."""
    query = select(table.c.id).where(table.c.source != "lab", table.c.withdrawn_at.is_(None))
    if since is not None:
        query = query.where(table.c.at >= since)
    with engine.connect() as connection:
        return connection.execute(
            select(func.count()).select_from(query.limit(at_most).subquery())
        ).scalar_one()


@dataclass(frozen=True)
class Accuracy:
    """How a version did on what came after it: rows that it was asked first, and said rightly."""

    observations: int
    correct: int


def accuracy(engine: Engine) -> dict[int, Accuracy]:
    """Return, for each version that was asked, how it did on what came while it was live."""
    query = (
        select(
            table.c.version, func.count(), func.sum(1 - func.abs(table.c.said - table.c.outcome))
        )
        .where(table.c.version.is_not(None), table.c.withdrawn_at.is_(None))
        .group_by(table.c.version)
    )
    with engine.connect() as connection:
        return {row[0]: Accuracy(row[1], int(row[2])) for row in connection.execute(query)}


def recent_accuracy(engine: Engine, version: int, last: int) -> Accuracy:
    """Return how `version` did on the last rows that it was asked."""
    query = (
        select(table.c.said, table.c.outcome)
        .where(table.c.version == version, table.c.withdrawn_at.is_(None))
        .order_by(table.c.id.desc())
        .limit(last)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return Accuracy(len(rows), sum(said == outcome for said, outcome in rows))


def _wanted(wanted: Filter) -> Select[Any]:
    query = select(table)
    if wanted.outcome is not None:
        query = query.where(table.c.outcome == int(wanted.outcome == "walk"))
    if wanted.since is not None:
        query = query.where(table.c.at >= wanted.since)
    if wanted.version is not None:
        query = query.where(table.c.version == wanted.version)
    if wanted.source is not None:
        query = query.where(table.c.source == wanted.source)
    return query


def _observation(row: Row[Any]) -> Observation:
    names: dict[int | None, Outcome | None] = {1: "walk", 0: "stop", None: None}
    return Observation(
        id=row.id,
        client_id=row.client_id,
        at=row.at,
        lights=json.loads(row.lights),
        outcome="walk" if row.outcome else "stop",
        source=row.source,
        version=row.version,
        said=names[row.said],
        withdrawn=row.withdrawn_at is not None,
    )
