"""Tests of the accuracy of versions on the ledger."""

import random
from typing import Any

from sqlalchemy import Connection, Engine, event, insert, text

from streetlight.model.evaluation import wilson_interval
from streetlight.service.ledger.accuracy import (
    MAX_PAGE_OBSERVATIONS,
    Accuracy,
    AccuracyWindow,
    accuracy,
    accuracy_by_version,
    accuracy_windows,
    recent_accuracy,
)
from streetlight.service.ledger.queries import Filter, page, withdraw
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import observations as table
from tests.service.ledger.test_queries import STOPS, WALKS, observe


def test_the_accuracy_of_each_version_is_counted(engine: Engine) -> None:
    observe(engine, "walk")
    assert accuracy_by_version(engine, [1, 2]) == {}

    observe(engine, "walk", "walk", "stop", live=WALKS)
    observe(engine, "walk", "stop", "stop", "walk", "walk", live=STOPS)
    assert accuracy_by_version(engine, [1, 2]) == {1: Accuracy(3, 2), 2: Accuracy(5, 2)}

    withdraw(engine, 4)
    withdraw(engine, 5)
    assert accuracy_by_version(engine, [1, 2]) == {1: Accuracy(2, 2), 2: Accuracy(4, 2)}


def test_the_recent_accuracy_covers_the_last_observations(engine: Engine) -> None:
    observe(engine, "stop", "stop", "walk", "walk", "stop", live=WALKS)
    observe(engine, "stop", "stop", live=STOPS)
    observe(engine, "stop")

    assert recent_accuracy(engine, 1, 10) == Accuracy(5, 2)
    assert recent_accuracy(engine, 1, 3) == Accuracy(3, 2)
    assert recent_accuracy(engine, 2, 10) == Accuracy(2, 2)
    assert recent_accuracy(engine, 3, 10) == Accuracy(0, 0)

    withdraw(engine, 5)
    assert recent_accuracy(engine, 1, 3) == Accuracy(3, 2)
    assert recent_accuracy(engine, 1, 2) == Accuracy(2, 2)


def pages(engine: Engine, version: int, window: int, limit: int) -> list[AccuracyWindow]:
    """Return the windows of all pages of at most `limit` windows."""
    found: list[AccuracyWindow] = []
    after: int | None = 0
    while after is not None:
        windows, after = accuracy_windows(engine, version, window, after, limit)
        assert len(windows) <= limit
        found += windows
    return found


def test_windows_have_the_decisions_of_one_version_in_order(engine: Engine) -> None:
    draw = random.Random(1)  # noqa: S311 - no secrets
    for _ in range(60):
        outcomes = draw.choices(["walk", "stop"], k=draw.randint(1, 5))
        observe(engine, *outcomes, live=draw.choice([WALKS, STOPS, None]))
    for number in draw.sample(range(1, 100), 30):
        withdraw(engine, number)

    for version in (1, 2, 3):
        decided = [
            row
            for row in page(engine, Filter(version=version), 0, 1000)
            if row.said and not row.withdrawn
        ]
        for window in (1, 7, len(decided) or 1, 1000):
            expected = []
            for start in range(0, len(decided), window):
                rows = decided[start : start + window]
                correct = sum(row.said == row.outcome for row in rows)
                expected.append(
                    AccuracyWindow(
                        rows[0].id,
                        rows[-1].id,
                        rows[0].at,
                        rows[-1].at,
                        len(rows),
                        correct,
                        correct / len(rows),
                        wilson_interval(correct, len(rows)),
                    )
                )
            assert accuracy_windows(engine, version, window, 0, 1000)[0] == expected
            assert pages(engine, version, window, 2) == expected
        whole = accuracy(engine, version)
        assert whole == accuracy_by_version(engine, [1, 2]).get(version, Accuracy(0, 0))
        assert whole.observations == len(decided)


def test_a_page_of_windows_reads_a_bounded_number_of_observations(engine: Engine) -> None:
    observe(engine, *["walk"] * 5, live=WALKS)

    assert accuracy_windows(engine, 1, 2, 0, 2)[1] == 4
    assert accuracy_windows(engine, 1, 2, 4, 2)[1] is None
    assert [row.last_id for row in accuracy_windows(engine, 1, 5, 0, 1000)[0]] == [5]
    windows, after = accuracy_windows(engine, 1, MAX_PAGE_OBSERVATIONS, 0, 1000)
    assert ([row.observations for row in windows], after) == ([5], None)


def test_the_last_observations_and_windows_are_found_by_the_index(engine: Engine) -> None:
    plans = []

    def explain(connection: Connection, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "LIMIT" in statement:
            command = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            cursor = connection.connection.cursor()
            cursor.execute(f"{command} {statement}", values)
            plans.append(str(cursor.fetchall()))

    columns = {"at": 1.0, "source": "api", "lights": "[1.0]", "outcome": 1, "said": 1}
    ledger = [{"id": i, "version": i % 100, **columns} for i in range(1, 5001)]
    with write_transaction(engine) as connection:
        connection.execute(insert(table), ledger)
        connection.execute(text("ANALYZE"))
    event.listen(engine, "after_cursor_execute", explain)
    recent_accuracy(engine, 1, 10)
    accuracy_windows(engine, 1, 10, 2000, 2)

    assert len(plans) == 2
    for plan in plans:
        assert "ix_observations_accuracy" in plan
