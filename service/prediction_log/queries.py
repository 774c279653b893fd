"""Read the prediction log, by page or as a whole.

A row is one prediction. The rows of one request have the same request id, and their places in it.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, Row, Select, func, select

from streetlight.model.dataset import Outcome
from streetlight.service.store.tables import predictions as table
from streetlight.service.store.timestamp import Timestamp

STREAM_PAGE_SIZE = 1000
# Bytes of light states, as text, in a page: a version may take many thousand lights.
MAX_PAGE_BYTES = 1024 * 1024
# Rows that are read for a page, about a tenth of a second.
MAX_SCAN = 200_000
# Seconds after which a prediction that couldn't be written is dropped. A transaction that has begun
# by then ends before twice this time.
MAX_DELAY = 60
MAX_COMMIT_DELAY = 2 * MAX_DELAY

Dialect = Literal["native", "v1", "v2", "invocations"]


class PredictionLogOffError(Exception):
    """The server keeps no prediction log."""


@dataclass(frozen=True)
class LoggedPrediction:
    """A prediction in the log.

    `row` is the place of the light state in its request, from 0. `dialect` is the protocol of the
    request; `native` is that of /predict and /explain.
    """

    id: int
    at: Timestamp
    request_id: str
    row: int
    dialect: Dialect
    version: int
    lights: list[float]
    score: float
    decision: Outcome


@dataclass(frozen=True)
class Filter:
    """Conditions on predictions; `None` matches any value.

    `since` is the earliest time of the prediction, in seconds since 1970.
    """

    since: float | None = None
    version: int | None = None
    decision: Outcome | None = None
    dialect: Dialect | None = None
    request_id: str | None = None


class Page(NamedTuple):
    """Some predictions, and after which id others may be; `None` if there are no others."""

    predictions: list[LoggedPrediction]
    next: int | None


def page(engine: Engine, filters: Filter, after: int, limit: int) -> Page:
    """Return up to `limit` predictions with ids above `after`, in order of id.

    They are fewer if their light states have more than `MAX_PAGE_BYTES`, or if they are rare: the
    database reads at most `MAX_SCAN` rows for conditions that no index has. Ids are in commit
    order, so a client that continues after the last id of a page gets each prediction once, even if
    predictions are added between two pages.
    """
    predictions: list[LoggedPrediction] = []
    size = 0
    next_after = None
    with engine.connect() as connection:
        if filters.since is not None:
            after = max(after, _id_before(connection, filters.since))
        query = _select(filters).where(table.c.id > after).order_by(table.c.id).limit(limit)
        if filters.request_id is None and (filters.decision or filters.dialect):
            last = connection.execute(select(func.max(table.c.id))).scalar() or 0
            if last > after + MAX_SCAN:
                next_after = after + MAX_SCAN
                query = query.where(table.c.id <= next_after)
        for row in connection.execute(query):
            predictions.append(_prediction(row))
            size += len(row.lights)
            if size > MAX_PAGE_BYTES or len(predictions) == limit:
                return Page(predictions, predictions[-1].id)
    return Page(predictions, next_after)


def stream(engine: Engine, filters: Filter) -> Iterator[list[LoggedPrediction]]:
    """Yield all matching predictions in order of id, in lists of up to 1,000."""
    after: int | None = 0
    while after is not None:
        rows, after = page(engine, filters, after, STREAM_PAGE_SIZE)
        yield rows


def _id_before(connection: Connection, since: float) -> int:
    """Return an id below that of each prediction that was made at `since` or later.

    Ids are in the order of the commits, so that those of predictions at nearly the same time are in
    any order. But a prediction that is committed so long after another one has the larger id.
    """
    first = connection.execute(select(func.min(table.c.at)).where(table.c.at >= since)).scalar()
    if first is None:
        return sys.maxsize
    # `+ 0`, because PostgreSQL would read the table in the order of the ids, from its start.
    query = select(func.min(table.c.id + 0)).where(
        table.c.at.between(first, first + MAX_COMMIT_DELAY)
    )
    return int(connection.execute(query).scalar_one()) - 1


def _select(filters: Filter) -> Select[Any]:
    query = select(table)
    if filters.since is not None:
        # `+ 0`, because SQLite would sort all rows of the index, and not read them in order of id.
        query = query.where(table.c.at + 0 >= filters.since)
    if filters.version is not None:
        query = query.where(table.c.version == filters.version)
    if filters.decision is not None:
        query = query.where(table.c.decision == int(filters.decision == "walk"))
    if filters.dialect is not None:
        query = query.where(table.c.dialect == filters.dialect)
    if filters.request_id is not None:
        query = query.where(table.c.request_id == filters.request_id)
    return query


def _prediction(row: Row[Any]) -> LoggedPrediction:
    columns = row._asdict()
    columns["lights"] = json.loads(row.lights)
    columns["decision"] = "walk" if row.decision else "stop"
    return LoggedPrediction(**columns)
