"""The accuracy of a version on the observations that were recorded while it was live.

The version decided each of them when `ingest` added it, so no version had learnt from it.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from streetlight.service.store.tables import observations as table


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a version on observations that were recorded after its training.

    Attributes:
        observations: the number of observations recorded while the version was live.
        correct: for how many of them its decision was the outcome.
    """

    observations: int
    correct: int


def accuracy_by_version(engine: Engine) -> dict[int, Accuracy]:
    """Return the accuracy of each version that predicted an observation."""
    query = (
        select(
            table.c.version, func.count(), func.sum(1 - func.abs(table.c.said - table.c.outcome))
        )
        .where(table.c.version.is_not(None), table.c.withdrawn_at.is_(None))
        .group_by(table.c.version)
    )
    with engine.connect() as connection:
        return {row[0]: Accuracy(row[1], int(row[2])) for row in connection.execute(query)}


def recent_accuracy(engine: Engine, version: int, window: int) -> Accuracy:
    """Return the accuracy of `version` on the last `window` observations that it predicted."""
    query = (
        select(table.c.said, table.c.outcome)
        .where(table.c.version == version, table.c.withdrawn_at.is_(None))
        .order_by(table.c.id.desc())
        .limit(window)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return Accuracy(len(rows), sum(said == outcome for said, outcome in rows))
