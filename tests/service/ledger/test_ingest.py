"""Tests of ingest: ids, verdicts, and what is stored with each observation."""

import re
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, Row, event, insert, select, text

from streetlight.model.network import Network
from streetlight.model.registry.version import Version
from streetlight.service.ledger import ingest
from streetlight.service.ledger.contradictions import MAX_CONTRADICTIONS
from streetlight.service.ledger.ingest import (
    NewObservation,
    RowResult,
    record,
)
from streetlight.service.ledger.queries import withdraw
from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.idempotency import IdempotentRequest, KeyReusedError
from streetlight.service.store.tables import observations as table
from streetlight.service.validation.fields import MAX_LIGHTS
from tests.service.services import version

WALK = NewObservation((1.0, 0.0), "walk")
STOP = NewObservation((1.0, 0.0), "stop")
OTHER = NewObservation((0.0, 1.0), "stop")


def add(
    engine: Engine,
    *rows: NewObservation | str,
    live: Version | None = None,
    source: str = "api",
) -> list[RowResult]:
    return record(engine, rows, live, source)


def stored(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)).all())


def test_ids_continue_without_gaps(engine: Engine) -> None:
    assert [result.id for result in add(engine, WALK, "rejected", OTHER)] == [1, None, 2]
    assert [result.id for result in add(engine, WALK)] == [3]
    withdraw(engine, 3)
    assert [result.id for result in add(engine, WALK)] == [4]
    assert [row.id for row in stored(engine)] == [1, 2, 3, 4]


def test_an_observation_is_stored_with_all_fields(engine: Engine) -> None:
    add(engine, NewObservation((0.1, 1e-7), "walk", "mine"), OTHER, source="corner.csv")

    first, second = stored(engine)
    assert (first.lights, first.outcome, first.client_id) == ("[0.1, 1e-07]", 1, "mine")
    assert (second.lights, second.outcome, second.client_id) == ("[0.0, 1.0]", 0, None)
    assert {first.source, second.source} == {"corner.csv"}
    assert (first.version, first.said, first.withdrawn_at) == (None, None, None)
    with engine.connect() as connection:
        now = connection.execute(select(clock(engine))).scalar_one()
    assert first.at == second.at == pytest.approx(now, abs=10)


def test_a_rejected_row_has_an_error_at_its_position(engine: Engine) -> None:
    results = add(engine, "first", WALK, "last")

    assert results == [
        RowResult("rejected", error="first"),
        RowResult("accepted", 1),
        RowResult("rejected", error="last"),
    ]


def test_contradictions_are_found_in_the_ledger_and_in_the_request(engine: Engine) -> None:
    results = add(engine, WALK, WALK, OTHER, STOP, WALK)
    assert results == [
        RowResult("accepted", 1),
        RowResult("accepted", 2),
        RowResult("accepted", 3),
        RowResult("contradicts", 4, [1, 2]),
        RowResult("contradicts", 5, [4]),
    ]

    withdraw(engine, 2)
    assert add(engine, STOP, WALK) == [
        RowResult("contradicts", 6, [1, 5]),
        RowResult("contradicts", 7, [4, 6]),
    ]


@pytest.mark.parametrize("together", [True, False])
def test_the_first_contradictions_are_listed(engine: Engine, together: bool) -> None:
    rows = [WALK] * (MAX_CONTRADICTIONS + 1)
    if together:
        results = add(engine, *rows, STOP)
    else:
        add(engine, *rows)
        results = add(engine, STOP)

    assert results[-1].contradicts == list(range(1, MAX_CONTRADICTIONS + 1))


def test_ten_contradictions_are_listed_across_requests(engine: Engine) -> None:
    add(engine, *[WALK] * (MAX_CONTRADICTIONS - 1))

    assert add(engine, WALK, WALK, STOP)[-1].contradicts == list(range(1, MAX_CONTRADICTIONS + 1))


def test_a_client_id_is_recorded_once(engine: Engine) -> None:
    mine = NewObservation((1.0, 0.0), "walk", "mine")
    assert add(engine, mine, mine)[1] == RowResult("duplicate", 1)
    assert add(engine, mine) == [RowResult("duplicate", 1)]
    assert len(stored(engine)) == 1

    for other in (
        NewObservation((1.0, 0.0), "stop", "mine"),
        NewObservation((0.0, 0.0), "walk", "mine"),
    ):
        [result] = add(engine, other)
        assert (result.verdict, result.id, result.contradicts) == ("rejected", 1, [])
        assert result.error is not None
        assert result.error.startswith("id: ")
    assert add(engine, WALK) == [RowResult("accepted", 2)]


def test_client_ids_are_looked_up_in_batches(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "LOOKUP_BATCH_SIZE", 2)
    rows = [NewObservation((float(i), 1.0), "walk", f"row {i}") for i in range(5)]
    assert [result.verdict for result in add(engine, *rows[:1], *rows[2:])] == ["accepted"] * 4

    verdicts = [result.verdict for result in add(engine, WALK, *rows)]

    assert verdicts == ["accepted", "duplicate", "accepted", *["duplicate"] * 3]


def test_all_observations_have_the_same_number_of_lights(engine: Engine) -> None:
    three = NewObservation((1.0, 0.0, 0.0), "walk")
    first, second = add(engine, WALK, three)
    assert (first.verdict, second.verdict, second.id) == ("accepted", "rejected", None)
    assert second.error is not None
    assert second.error.startswith("lights: ")
    assert add(engine, three)[0].verdict == "rejected"
    assert len(stored(engine)) == 1

    withdraw(engine, 1)
    assert add(engine, three)[0].verdict == "accepted"


def test_an_observation_with_too_many_lights_is_rejected(engine: Engine) -> None:
    largest = (0.0,) * MAX_LIGHTS
    results = add(engine, NewObservation((*largest, 0.0), "walk"), NewObservation(largest, "walk"))

    assert [result.verdict for result in results] == ["rejected", "accepted"]


def test_the_prediction_of_the_live_version_is_stored(engine: Engine) -> None:
    live = version(7, 1.0, 0.0)
    add(engine, STOP, OTHER, live=live)
    withdraw(engine, 1)
    withdraw(engine, 2)
    add(engine, NewObservation((1.0,), "walk"), live=live)

    assert [(row.version, row.said) for row in stored(engine)] == [(7, 1), (7, 0), (None, None)]


def test_the_lock_is_free_during_the_prediction(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, WALK)
    withdrawn = []

    def scores(_network: Network, lights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        withdrawn.append(withdraw(engine, 1))
        return np.ones(len(lights))

    monkeypatch.setattr(Network, "scores", scores)
    monkeypatch.setattr(Network, "score", lambda network, row: scores(network, np.array([row]))[0])
    add(engine, STOP, OTHER, NewObservation((1.0,), "walk"), live=version(7, 1.0, 0.0))

    assert len(withdrawn) == 1
    assert [(row.version, row.said) for row in stored(engine)] == [(None, None), (7, 1), (7, 1)]


def test_many_rows_need_few_statements(engine: Engine) -> None:
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *values: statements.append(values[2]))

    add(engine, *(NewObservation((float(i % 999), 1.0), "walk", f"{i}") for i in range(1000)))

    assert len(statements) < 10


@pytest.mark.parametrize(("rows", "states"), [(5_000, 8), (5_000, 1), (200, 8), (5_000, 5_000)])
def test_contradictions_are_found_by_the_index_of_states(
    engine: Engine, rows: int, states: int
) -> None:
    """The plan doesn't depend on the size of the ledger, or on what the database knows of it."""
    plans = []

    def explain(connection: Connection, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "ORDER BY" in statement:
            command = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            cursor = connection.connection.cursor()
            cursor.execute(f"{command} {statement}", values)
            plans.append(str(cursor.fetchall()))

    columns = {"at": 1.0, "source": "api", "outcome": 1}
    with write_transaction(engine) as connection:
        ledger = [{"id": i + 1, "lights": f"[{i % states}.0, 1.0]", **columns} for i in range(rows)]
        connection.execute(insert(table), ledger)
    event.listen(engine, "after_cursor_execute", explain)

    for _ in range(2):
        [result] = add(engine, NewObservation((0.0, 1.0), "stop"))
        assert result.contradicts == [i + 1 for i in range(rows) if i % states == 0][:10]
        with engine.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()

    assert len(plans) == 2
    for plan in plans:
        assert re.search(r"(Index Scan using|USING (COVERING )?INDEX) ix_observations_state", plan)


def test_a_repeated_request_adds_nothing(engine: Engine) -> None:
    request = IdempotentRequest("observations", "key", "digest")
    rows = (WALK, STOP, "rejected")
    first = record(engine, rows, None, "api", request)

    assert record(engine, rows, None, "api", request) == first
    assert len(stored(engine)) == 2
    with pytest.raises(KeyReusedError):
        record(engine, rows, None, "api", IdempotentRequest("observations", "key", "other"))
    assert len(stored(engine)) == 2
    record(engine, rows, None, "api", IdempotentRequest("observations", "another", "digest"))
    assert len(stored(engine)) == 4


def test_a_request_without_valid_rows_adds_nothing(engine: Engine) -> None:
    assert add(engine, "one", "two") == [
        RowResult("rejected", error="one"),
        RowResult("rejected", error="two"),
    ]
    assert add(engine) == []
    assert stored(engine) == []
