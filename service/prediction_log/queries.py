"""Read the prediction log, by page or as a whole.

A row is one prediction. The rows of one request have the same request id, and their places in it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, Row, Select, select

from streetlight.model.dataset import Outcome
from streetlight.service.store.tables import predictions as table
from streetlight.service.store.timestamp import Timestamp

STREAM_PAGE_SIZE = 1000

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


def page(engine: Engine, filters: Filter, after: int, limit: int) -> list[LoggedPrediction]:
    """Return up to `limit` predictions with ids above `after`, in order of id.

    Ids are in commit order, so a client that continues after the last id of a page gets each
    prediction once, even if predictions are added between two pages.
    """
    query = _select(filters).where(table.c.id > after).order_by(table.c.id).limit(limit)
    with engine.connect() as connection:
        return [_prediction(row) for row in connection.execute(query)]


def stream(engine: Engine, filters: Filter) -> Iterator[list[LoggedPrediction]]:
    """Yield all matching predictions in order of id, in lists of up to 1,000."""
    after = 0
    while rows := page(engine, filters, after, STREAM_PAGE_SIZE):
        yield rows
        after = rows[-1].id


def _select(filters: Filter) -> Select[Any]:
    query = select(table)
    if filters.since is not None:
        query = query.where(table.c.at >= filters.since)
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
