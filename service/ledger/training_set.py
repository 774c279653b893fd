"""The training set: the observations of the ledger, grouped by light state."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Engine, Select, func, select

from streetlight.model.dataset import Dataset
from streetlight.service.store.engine import snapshot
from streetlight.service.store.tables import observations as table

# The number of ids in a page, which is read in less than a second.
PAGE_SIZE = 100_000
# A light is exceptional if it is this many times as large as the largest light of most states.
OUTLIER_FACTOR = 100


class LedgerError(ValueError):
    """The ledger can't be trained on; the message names what is missing."""


@dataclass(frozen=True)
class TrainingSet:
    """The data for a training.

    Attributes:
        dataset: a row for each light state.
        ids: the ids of the observations it is made of, as ranges (first, last).
        first_ids: for each row, the id of its first observation.
    """

    dataset: Dataset
    ids: list[tuple[int, int]]
    first_ids: list[int]

    def outlier(self) -> str | None:
        """Return a sentence that names the observation with by far the largest light, if any.

        Such a light can make every training fail: a network divides all lights by the largest.
        """
        sizes = np.abs(self.dataset.lights)
        largest = sizes.max(axis=1)
        row = int(largest.argmax())
        usual = float(np.median(largest[largest > 0])) if largest.any() else 0.0
        if largest[row] <= OUTLIER_FACTOR * usual:
            return None
        number, light = self.first_ids[row], int(sizes[row].argmax())
        return (
            f"observation {number} may be the cause: lights[{light}] is "
            f"{self.dataset.lights[row, light]:g}, where the largest light of most states is at "
            f"most {usual:g}, and a network divides all lights by the largest; if it is wrong, "
            f"withdraw it with DELETE /observations/{number}, and retrain"
        )


def load_training_set(engine: Engine, report: Callable[[], object] = lambda: None) -> TrainingSet:
    """Return all observations that aren't withdrawn, grouped by light state.

    Observations with equal lights become one row with their mean outcome. Rows are in order of
    first appearance.

    Args:
        engine: the engine of the database.
        report: called before each page of the ledger is read, so that a statement is short and the
            caller can renew a lease; an exception that it raises ends the reading.

    Raises:
        LedgerError: the ledger is empty, or all observations have the same outcome.
    """
    # The sum of the outcomes, the number of observations, and the id of the first.
    groups: dict[str, tuple[int, int, int]] = {}
    ids: list[tuple[int, int]] = []
    # One snapshot for all queries, so that the ids are those of the grouped observations.
    with snapshot(engine) as connection:
        newest = connection.execute(select(func.max(table.c.id))).scalar() or 0
        for start in range(0, newest, PAGE_SIZE):
            report()
            page = (table.c.id > start) & (table.c.id <= start + PAGE_SIZE)
            kept = page & table.c.withdrawn_at.is_(None)
            for lights, walks, count, number in connection.execute(_grouped(kept)):
                walks_before, count_before, first_id = groups.get(lights, (0, 0, number))
                groups[lights] = (walks_before + walks, count_before + count, first_id)
            for first, last in connection.execute(_ranges(kept)):
                begins = ids.pop()[0] if ids and ids[-1][1] == first - 1 else first
                ids.append((begins, last))
    walks = sum(walks for walks, _, _ in groups.values())
    total = sum(count for _, count, _ in groups.values())
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
            np.array([json.loads(lights) for lights in groups], float),
            np.array([walks / count for walks, count, _ in groups.values()], float),
            np.array([count for _, count, _ in groups.values()], np.int64),
        ),
        ids,
        [first_id for _, _, first_id in groups.values()],
    )


def _grouped(kept: ColumnElement[bool]) -> Select[Any]:
    """Select the lights, the sum of the outcomes, the count and the first id of each state."""
    first = func.min(table.c.id)
    query = select(table.c.lights, func.sum(table.c.outcome), func.count(), first).where(kept)
    return query.group_by(table.c.lights).order_by(first)


def _ranges(kept: ColumnElement[bool]) -> Select[Any]:
    """Select the ids of the observations `kept`, as ranges (first, last)."""
    # Within a run of consecutive ids, the id minus the row number is constant.
    run = table.c.id - func.row_number().over(order_by=table.c.id)
    numbered = select(table.c.id, run.label("run")).where(kept).subquery()
    query = select(func.min(numbered.c.id), func.max(numbered.c.id)).group_by(numbered.c.run)
    return query.order_by(func.min(numbered.c.id))
