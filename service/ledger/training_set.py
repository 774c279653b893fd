"""The training set: the observations of the ledger, without the exam.

`exam` selects the observations that are held back; this module reads the rows of both.
"""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, Select, func, select

from streetlight.model.dataset import Dataset, Outcome, Repeats
from streetlight.model.exam import Exam
from streetlight.model.id_ranges import IdRanges, expand, size, subtract
from streetlight.service.ledger.exam import NO_EXAM, ExamSpec, select_exam
from streetlight.service.store.engine import snapshot
from streetlight.service.store.tables import observations as table

# The number of ids in a page, which is read in less than a second.
PAGE_SIZE = 100_000
# A light is exceptional if it is this many times as large as the largest light of most states.
OUTLIER_FACTOR = 100

NOT_WITHDRAWN = table.c.withdrawn_at.is_(None)

# The lights, the sum of the outcomes, the number of observations, and the id of the first.
Group = tuple[str, int, int, int]


class LedgerError(ValueError):
    """The ledger can't be trained on; the message names what is missing."""


@dataclass(frozen=True)
class TrainingSet:
    """The data for a training.

    Attributes:
        dataset: a row for each light state, or for each observation.
        ids: the ids of the observations it is made of, as ranges (first, last); `None` if the data
            isn't from the ledger.
        first_ids: for each row, the id of its first observation; empty likewise.
        exam: the observations that are held back.
        why_no_exam: why none are; `None` if there is an exam.
        source: the source of the data, as the manifest has it.
    """

    dataset: Dataset
    ids: IdRanges | None
    first_ids: list[int]
    exam: Exam | None
    why_no_exam: str | None
    source: str = "ledger"

    def outlier(self) -> str | None:
        """Return a sentence that names the row with by far the largest light, if any.

        Such a light can make every training fail: a network divides all lights by the largest.
        """
        sizes = np.abs(self.dataset.lights)
        largest = sizes.max(axis=1)
        row = int(largest.argmax())
        usual = float(np.median(largest[largest > 0])) if largest.any() else 0.0
        if largest[row] <= OUTLIER_FACTOR * usual:
            return None
        light = int(sizes[row].argmax())
        reason = (
            f"may be the cause: lights[{light}] is {self.dataset.lights[row, light]:g}, where the "
            f"largest light of most states is at most {usual:g}, and a network divides all lights "
            "by the largest"
        )
        if not self.first_ids:
            return f"a row {reason}"
        number = self.first_ids[row]
        return (
            f"observation {number} {reason}; if it is wrong, withdraw it with "
            f"DELETE /observations/{number}, and retrain"
        )


def load_training_set(
    engine: Engine,
    report: Callable[[], object] = lambda: None,
    exam: ExamSpec = NO_EXAM,
    repeats: Repeats = "grouped",
) -> TrainingSet:
    """Return all observations that aren't withdrawn, without the exam.

    If `repeats` is `grouped`, observations with equal lights become one row with their mean
    outcome. Rows are in order of first appearance. The lab's observations, with which a ledger
    starts, are never in the exam.

    Args:
        engine: the engine of the database.
        report: called before each page of the ledger is read, so that a statement is short and the
            caller can renew a lease; an exception that it raises ends the reading.
        exam: what to hold back. If the other observations lack an outcome, nothing is held back.
        repeats: what becomes of observations with equal lights.

    Raises:
        LedgerError: the ledger is empty, or all observations have the same outcome.
    """
    # One snapshot for all queries, so that the ids are those of the grouped observations.
    with snapshot(engine) as connection:
        ledger = _Ledger(connection, report)
        ids = ledger.ids(NOT_WITHDRAWN)
        unlearnt: IdRanges = []
        if exam.learnt is not None:
            of_lab = ledger.ids(NOT_WITHDRAWN & (table.c.source == "lab"))
            unlearnt = subtract(subtract(ids, exam.learnt), of_lab)
        held_back, why_no_exam = select_exam(unlearnt, exam)
        groups, rows = ledger.rows(held_back, repeats)
        if held_back and _missing_outcome(groups):
            held_back, why_no_exam = [], "all other observations have the same outcome"
            groups, rows = ledger.rows(held_back, repeats)
    if not groups:
        raise LedgerError("expected observations of both outcomes, got an empty ledger")
    if missing := _missing_outcome(groups):
        present = "stop" if missing == "walk" else "walk"
        raise LedgerError(
            f"expected observations of both outcomes, got {size(ids)} with {present} "
            f"and none with {missing}"
        )
    return TrainingSet(
        Dataset(
            np.array([json.loads(lights) for lights, _, _, _ in groups], float),
            np.array([walks / count for _, walks, count, _ in groups], float),
            np.array([count for _, _, count, _ in groups], np.int64),
        ),
        subtract(ids, held_back),
        [first_id for _, _, _, first_id in groups],
        _exam(held_back, rows) if held_back else None,
        why_no_exam,
    )


def _exam(ids: IdRanges, rows: list[tuple[str, int]]) -> Exam:
    lights = np.array([json.loads(lights) for lights, _ in rows], float)
    return Exam(ids, Dataset(lights, np.array([outcome for _, outcome in rows], float)))


def _missing_outcome(groups: Collection[Group]) -> Outcome | None:
    """Return the outcome that no observation has; `None` if there are both."""
    walks = sum(walks for _, walks, _, _ in groups)
    if walks == 0:
        return "walk"
    return "stop" if walks == sum(count for _, _, count, _ in groups) else None


class _Ledger:
    """The ledger in a snapshot, read in pages of ids."""

    def __init__(self, connection: Connection, report: Callable[[], object]) -> None:
        self._connection, self._report = connection, report
        self._newest = connection.execute(select(func.max(table.c.id))).scalar() or 0

    def ids(self, condition: ColumnElement[bool]) -> IdRanges:
        """Return the ids of the observations that meet `condition`."""
        ids: IdRanges = []
        for page, _ in self._pages():
            for first, last in self._connection.execute(_ranges(page & condition)):
                begins = ids.pop()[0] if ids and ids[-1][1] == first - 1 else first
                ids.append((begins, last))
        return ids

    def rows(
        self, held_back: IdRanges, repeats: Repeats
    ) -> tuple[Collection[Group], list[tuple[str, int]]]:
        """Return the groups of the observations, and the lights and outcomes of those held back.

        If repeats are kept, each observation is a group.
        """
        groups: dict[str | int, Group] = {}
        rows: list[tuple[str, int]] = []
        exam = expand(held_back)
        for page, start in self._pages():
            kept = page & NOT_WITHDRAWN
            if in_page := exam[(exam > start) & (exam <= start + PAGE_SIZE)].tolist():
                query = select(table.c.lights, table.c.outcome).where(table.c.id.in_(in_page))
                rows += map(tuple, self._connection.execute(query.order_by(table.c.id)))
                kept &= table.c.id.not_in(in_page)
            page_groups = self._connection.execute(_grouped(kept, repeats))
            for lights, walks, count, number in page_groups:
                key = lights if repeats == "grouped" else number
                _, walks_before, count_before, first_id = groups.get(key, (lights, 0, 0, number))
                groups[key] = (lights, walks_before + walks, count_before + count, first_id)
        return groups.values(), rows

    def _pages(self) -> Iterator[tuple[ColumnElement[bool], int]]:
        """Yield the condition of each page, and the id before its first."""
        for start in range(0, self._newest, PAGE_SIZE):
            self._report()
            yield (table.c.id > start) & (table.c.id <= start + PAGE_SIZE), start


def _grouped(kept: ColumnElement[bool], repeats: Repeats) -> Select[Any]:
    """Select the lights, the sum of the outcomes, the count and the first id of each group."""
    first = func.min(table.c.id)
    query = select(table.c.lights, func.sum(table.c.outcome), func.count(), first).where(kept)
    query = query.group_by(table.c.lights).order_by(first)
    return query if repeats == "grouped" else query.group_by(table.c.id)


def _ranges(kept: ColumnElement[bool]) -> Select[Any]:
    """Select the ids of the observations `kept`, as ranges (first, last)."""
    # Within a run of consecutive ids, the id minus the row number is constant.
    run = table.c.id - func.row_number().over(order_by=table.c.id)
    numbered = select(table.c.id, run.label("run")).where(kept).subquery()
    query = select(func.min(numbered.c.id), func.max(numbered.c.id)).group_by(numbered.c.run)
    return query.order_by(func.min(numbered.c.id))
