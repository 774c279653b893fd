"""The accuracy of a version on the observations that it decided.

It decided each of them before any version could learn from it: see `ingest`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, select

from streetlight.model.evaluation import Interval, wilson_interval
from streetlight.service.store.tables import observations as table
from streetlight.service.store.timestamp import Timestamp

# The number of observations that a page of windows may read, which takes a fifth of a second.
MAX_PAGE_OBSERVATIONS = 100_000

CORRECT = 1 - func.abs(table.c.said - table.c.outcome)


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a version.

    Attributes:
        observations: the number of observations that the version decided.
        correct: for how many of them its decision was the outcome.
    """

    observations: int
    correct: int

    @property
    def ratio(self) -> float | None:
        """The share of correct decisions; `None` without observations."""
        return self.correct / self.observations if self.observations else None

    @property
    def interval(self) -> Interval:
        """The Wilson interval of that share, for 95 %."""
        return wilson_interval(self.correct, self.observations)

    def is_below(self, threshold: float, window: int) -> bool:
        """Whether it is lower beyond doubt: over a full window, the upper end of the interval."""
        return self.observations == window and self.interval.high < threshold


@dataclass(frozen=True)
class AccuracyWindow:
    """The accuracy of a version on consecutive observations of those that it decided.

    `interval` has the ends of the 95 % Wilson interval of `accuracy`.
    """

    first_id: int
    last_id: int
    first_at: Timestamp
    last_at: Timestamp
    observations: int
    correct: int
    accuracy: float
    interval: Interval


def accuracy_by_version(engine: Engine, versions: Sequence[int]) -> dict[int, Accuracy]:
    """Return the accuracy of those of `versions` that predicted an observation."""
    query = (
        select(table.c.version, func.count(), func.sum(CORRECT))
        .where(table.c.version.in_(versions), table.c.withdrawn_at.is_(None))
        .group_by(table.c.version)
    )
    with engine.connect() as connection:
        return {row[0]: Accuracy(row[1], int(row[2])) for row in connection.execute(query)}


def accuracy(engine: Engine, version: int) -> Accuracy:
    """Return the accuracy of `version` on all observations that it predicted."""
    query = select(func.count(), func.coalesce(func.sum(CORRECT), 0)).where(_decided_by(version))
    with engine.connect() as connection:
        observations, correct = connection.execute(query).one()
    return Accuracy(observations, int(correct))


def recent_accuracy(engine: Engine, version: int, window: int) -> Accuracy:
    """Return the accuracy of `version` on the last `window` observations that it predicted."""
    last = (
        select(CORRECT.label("correct"))
        .where(_decided_by(version))
        .order_by(table.c.id.desc())
        .limit(window)
        .subquery()
    )
    query = select(func.count(), func.coalesce(func.sum(last.c.correct), 0)).select_from(last)
    with engine.connect() as connection:
        observations, correct = connection.execute(query).one()
    return Accuracy(observations, int(correct))


def accuracy_windows(
    engine: Engine, version: int, window: int, after: int, limit: int
) -> tuple[list[AccuracyWindow], int | None]:
    """Return the accuracy of `version` in windows, and the `after` of the next page, if any.

    The observations with ids above `after` that the version predicted are cut into windows of
    `window` in order of id; the last one may have fewer. There are at most `limit` windows, and
    fewer if they have more than `MAX_PAGE_OBSERVATIONS` observations.
    """
    limit = min(limit, MAX_PAGE_OBSERVATIONS // window)
    decided = (
        select(table.c.id, CORRECT.label("correct"))
        .where(_decided_by(version), table.c.id > after)
        .order_by(table.c.id)
        .limit(limit * window)
        .subquery()
    )
    position = func.row_number().over(order_by=decided.c.id) - 1
    placed = select(decided, (position // window).label("place")).subquery()
    cut = (
        select(
            func.min(placed.c.id).label("first_id"),
            func.max(placed.c.id).label("last_id"),
            func.count().label("observations"),
            func.sum(placed.c.correct).label("correct"),
        )
        .group_by(placed.c.place)
        .subquery()
    )
    first, last = table.alias(), table.alias()
    query = (
        select(cut, first.c.at.label("first_at"), last.c.at.label("last_at"))
        .join(first, first.c.id == cut.c.first_id)
        .join(last, last.c.id == cut.c.last_id)
        .order_by(cut.c.first_id)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    windows = [
        AccuracyWindow(
            row.first_id,
            row.last_id,
            row.first_at,
            row.last_at,
            row.observations,
            int(row.correct),
            row.correct / row.observations,
            wilson_interval(int(row.correct), row.observations),
        )
        for row in rows
    ]
    is_full = len(windows) == limit and windows[-1].observations == window
    return windows, windows[-1].last_id if is_full else None


def _decided_by(version: int) -> ColumnElement[bool]:
    return (table.c.version == version) & table.c.withdrawn_at.is_(None)
