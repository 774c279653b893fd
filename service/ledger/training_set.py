"""Training data: the ledger as it stands, grouped by light state, ready to learn from."""

import json
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from streetlight.model.dataset import Dataset
from streetlight.service.store.engine import snapshot
from streetlight.service.store.tables import observations as table


class LedgerError(ValueError):
    """The ledger can't be learnt from; the message says what is missing."""


@dataclass(frozen=True)
class TrainingSet:
    """A row for each light state, and the ids of the observations it is made of, in ranges."""

    dataset: Dataset
    ids: list[tuple[int, int]]


def load_training_set(engine: Engine) -> TrainingSet:
    """Return what is to be learnt from: every row that isn't withdrawn.

    Equal light states are one row, in order of first appearance, with their mean outcome.

    Raises:
        LedgerError: there is nothing, or it has one outcome only.
    """
    grouped = (
        select(table.c.lights, func.sum(table.c.outcome), func.count())
        .where(table.c.withdrawn_at.is_(None))
        .group_by(table.c.lights)
        .order_by(func.min(table.c.id))
    )
    # Of one moment, so that the ids are those of the states.
    with snapshot(engine) as connection:
        states = connection.execute(grouped).all()
        ids = _ranges(connection)
    walks, seen = sum(row[1] for row in states), sum(row[2] for row in states)
    if not seen:
        raise LedgerError("nothing to learn from: the ledger has no observation")
    if walks in (0, seen):
        missing = "stop" if walks else "walk"
        raise LedgerError(
            f"nothing to tell apart: none of the {seen} observations has the outcome {missing}"
        )
    return TrainingSet(
        Dataset(
            np.array([json.loads(row[0]) for row in states], float),
            np.array([row[1] / row[2] for row in states], float),
            np.array([row[2] for row in states], np.int64),
        ),
        ids,
    )


def _ranges(connection: Connection) -> list[tuple[int, int]]:
    """The ids that count: first and last of each run without a gap."""
    run = table.c.id - func.row_number().over(order_by=table.c.id)
    numbered = select(table.c.id, run.label("run")).where(table.c.withdrawn_at.is_(None)).subquery()
    query = (
        select(func.min(numbered.c.id), func.max(numbered.c.id))
        .group_by(numbered.c.run)
        .order_by(func.min(numbered.c.id))
    )
    return [(first, last) for first, last in connection.execute(query)]
