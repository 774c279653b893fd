"""Count the logged predictions by light state, so that another version can be compared with them.

`queries` reads the log by page.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Engine, Text, cast, func, literal, select

from streetlight.service.store.tables import predictions as table

# The predictions that are read, which takes a few seconds.
MAX_PREDICTIONS = 1_000_000


class Patterns(NamedTuple):
    """Light states, each with one of its decisions, as columns of equal length.

    Attributes:
        lights: the light state as JSON.
        decision: the decision, 1 for walk and 0 for stop.
        versions: the numbers of the versions that made it, separated by commas, in any order.
        predictions: the number of predictions.
        first_at: the time of the first of them, in seconds since 1970.
        last_at: the time of the last of them.
    """

    lights: Sequence[str]
    decision: Sequence[int]
    versions: Sequence[str]
    predictions: Sequence[int]
    first_at: Sequence[float]
    last_at: Sequence[float]


def count(engine: Engine, since: float) -> int:
    """Return the number of predictions since a time; 1 more than `MAX_PREDICTIONS` if it is more.

    `since` is in seconds since 1970.
    """
    logged = select(literal(1)).where(table.c.at >= since).limit(MAX_PREDICTIONS + 1)
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(logged.subquery())).scalar_one()


def patterns(engine: Engine, since: float, size: int) -> Iterator[Patterns]:
    """Yield the light states of the newest predictions since a time, up to `size` at once.

    Those with equal lights follow each other. The database sorts them, so that memory doesn't grow
    with their number.
    """
    newest = (
        select(table.c.lights, table.c.decision, table.c.version, table.c.at)
        .where(table.c.at >= since)
        .order_by(table.c.at.desc(), table.c.id.desc())
        .limit(MAX_PREDICTIONS)
        .subquery()
    )
    if engine.dialect.name == "postgresql":
        versions = func.string_agg(cast(newest.c.version, Text).distinct(), ",")
    else:
        versions = func.group_concat(newest.c.version.distinct())
    group = (newest.c.lights, newest.c.decision)
    times = (func.min(newest.c.at), func.max(newest.c.at))
    query = select(*group, versions, func.count(), *times).group_by(*group).order_by(*group)
    with engine.connect().execution_options(yield_per=size) as connection:
        for rows in connection.execute(query).partitions():
            yield Patterns(*zip(*rows, strict=True))
