"""Read the ledger of observations, and withdraw observations from it.

A row is inserted by `ingest` and never changed, except that it may be withdrawn. `training_set`
reads the rows for a training; `accuracy` compares them with the decisions of versions.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from sqlalchemy import Connection, Engine, Row, Select, func, select, update

from streetlight.model.dataset import Outcome
from streetlight.service.store.engine import clock, ordered_write_transaction
from streetlight.service.store.tables import observations as table
from streetlight.service.store.timestamp import Timestamp
from streetlight.service.validation.fields import OMIT_IF_EMPTY

STREAM_PAGE_SIZE = 1000


class ObservationNotFoundError(LookupError):
    """No observation has that id."""


@dataclass(frozen=True)
class Observation:
    """An observation in the ledger.

    `version` is the version that predicted it, and `said` is that version's decision: the logged
    prediction `request_id` if the observation names one, otherwise that of the live version when
    the observation was recorded. Both are null if the log doesn't have that prediction, if no
    version was live, or if it takes another number of lights.
    """

    id: int
    client_id: str | None
    at: Timestamp
    lights: list[float]
    outcome: Outcome
    source: str
    version: int | None
    said: Outcome | None
    withdrawn: bool
    request_id: Annotated[str | None, OMIT_IF_EMPTY] = None


@dataclass(frozen=True)
class Filter:
    """Conditions on observations; `None` matches any value.

    `since` is the earliest recording time, in seconds since 1970.
    """

    outcome: Outcome | None = None
    since: float | None = None
    version: int | None = None
    source: str | None = None


def get(engine: Engine, number: int) -> Observation:
    """Return the observation with the id `number`.

    Raises:
        ObservationNotFoundError: no observation has that id.
    """
    with engine.connect() as connection:
        return _get(connection, number)


def withdraw(engine: Engine, number: int) -> Observation:
    """Mark an observation as withdrawn and return it; trainings then leave it out.

    Raises:
        ObservationNotFoundError: no observation has that id.
    """
    with ordered_write_transaction(engine) as connection:
        connection.execute(
            update(table)
            .where(table.c.id == number, table.c.withdrawn_at.is_(None))
            .values(withdrawn_at=clock(engine))
        )
        return _get(connection, number)


def _get(connection: Connection, number: int) -> Observation:
    row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        raise ObservationNotFoundError(f"no observation {number}")
    return _observation(row)


def page(engine: Engine, filters: Filter, after: int, limit: int) -> list[Observation]:
    """Return up to `limit` observations with ids above `after`, in order of id.

    Ids are in commit order, so a client that continues after the last id of a page gets each
    observation once, even if observations are added between two pages.
    """
    query = _select(filters).where(table.c.id > after).order_by(table.c.id).limit(limit)
    with engine.connect() as connection:
        return [_observation(row) for row in connection.execute(query)]


def stream(engine: Engine, filters: Filter) -> Iterator[list[Observation]]:
    """Yield all matching observations in order of id, in lists of up to 1,000."""
    after = 0
    while rows := page(engine, filters, after, STREAM_PAGE_SIZE):
        yield rows
        after = rows[-1].id


def count(engine: Engine, filters: Filter) -> int:
    """Return the number of matching observations, without withdrawn ones."""
    query = select(func.count()).select_from(
        _select(filters).where(table.c.withdrawn_at.is_(None)).subquery()
    )
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def count_after(engine: Engine, after: int, limit: int) -> int:
    """Return the number of observations with ids above `after`, counting up to `limit`.

    Withdrawn observations and those of the lab aren't counted. The limit is where to stop counting,
    so that a long ledger isn't read to its end.
    """
    query = select(table.c.id).where(
        table.c.id > after, table.c.source != "lab", table.c.withdrawn_at.is_(None)
    )
    with engine.connect() as connection:
        return connection.execute(
            select(func.count()).select_from(query.limit(limit).subquery())
        ).scalar_one()


def _select(filters: Filter) -> Select[Any]:
    query = select(table)
    if filters.outcome is not None:
        query = query.where(table.c.outcome == int(filters.outcome == "walk"))
    if filters.since is not None:
        query = query.where(table.c.at >= filters.since)
    if filters.version is not None:
        query = query.where(table.c.version == filters.version)
    if filters.source is not None:
        query = query.where(table.c.source == filters.source)
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
        request_id=row.request_id,
    )
