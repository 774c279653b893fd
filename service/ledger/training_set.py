"""The training set: the observations of the ledger, grouped by light state."""

import json
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from streetlight.model.dataset import Dataset
from streetlight.service.store.engine import snapshot
from streetlight.service.store.tables import observations as table


class LedgerError(ValueError):
    """The ledger can't be trained on; the message names what is missing."""


@dataclass(frozen=True)
class TrainingSet:
    """The data for a training.

    Attributes:
        dataset: a row for each light state.
        ids: the ids of the observations it is made of, as ranges (first, last).
    """

    dataset: Dataset
    ids: list[tuple[int, int]]


def load_training_set(engine: Engine) -> TrainingSet:
    """Return all observations that aren't withdrawn, grouped by light state.

    Observations with equal lights become one row with their mean outcome. Rows are in order of
    first appearance.

    Raises:
        LedgerError: the ledger is empty, or all observations have the same outcome.
    """
    grouped = (
        select(table.c.lights, func.sum(table.c.outcome), func.count())
        .where(table.c.withdrawn_at.is_(None))
        .group_by(table.c.lights)
        .order_by(func.min(table.c.id))
    )
    # One snapshot for both queries, so that the ids are those of the grouped observations.
    with snapshot(engine) as connection:
        states = connection.execute(grouped).all()
        ids = _ranges(connection)
    walks, total = sum(row[1] for row in states), sum(row[2] for row in states)
    if not total:
        raise LedgerError("expected observations of both outcomes, got an empty ledger")
    if walks in (0, total):
        present, missing = ("walk", "stop") if walks else ("stop", "walk")
        raise LedgerError(
            f"expected observations of both outcomes, got {total} with {present} "
            f"and none with {missing}"
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
    """Return the ids of the observations that aren't withdrawn, as ranges (first, last)."""
    # Within a run of consecutive ids, the id minus the row number is constant.
    run = table.c.id - func.row_number().over(order_by=table.c.id)
    numbered = select(table.c.id, run.label("run")).where(table.c.withdrawn_at.is_(None)).subquery()
    query = (
        select(func.min(numbered.c.id), func.max(numbered.c.id))
        .group_by(numbered.c.run)
        .order_by(func.min(numbered.c.id))
    )
    return [(first, last) for first, last in connection.execute(query)]
