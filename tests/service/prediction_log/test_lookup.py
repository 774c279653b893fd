"""Tests of finding the predictions that observations name."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event

from streetlight.service.prediction_log.lookup import Decided, Key, Lookup
from tests.service.conftest import until
from tests.service.prediction_log.predictions import log_predictions

WALK, STOP = "[1.0, 0.0, 1.0]", "[0.0, 0.0, 1.0]"


def test_a_prediction_is_found_by_its_request_and_its_lights(log_engine: Engine) -> None:
    log_predictions(
        log_engine,
        {"lights": [1, 0, 1], "request_id": "a", "version": 1, "decision": 1},
        {"lights": [0, 0, 1], "request_id": "a", "version": 1, "decision": 0, "row": 1},
        {"lights": [1, 0, 1], "request_id": "b", "version": 2, "decision": 0},
        {"lights": [0, 0, 1], "request_id": "b", "version": 2, "decision": 0},
        {"lights": [0, 0, 1], "request_id": "b", "version": 3, "decision": 1},
    )
    keys = {Key("a", WALK), Key("b", STOP), Key("a", "[1.0]"), Key("c", WALK)}

    found = Lookup(log_engine).find(keys)

    assert {key: found[key] for key in keys & found.keys()} == {
        Key("a", WALK): Decided(1, 1),
        Key("b", STOP): Decided(3, 1),  # the newest
    }
    assert Lookup(log_engine).find(set()) == {}


def test_a_prediction_that_is_written_late_is_waited_for(log_engine: Engine) -> None:
    row = {"lights": [1, 0, 1], "request_id": "late"}
    writer = threading.Timer(0.2, log_predictions, (log_engine, row))
    writer.start()

    late = Key("late", WALK)
    assert Lookup(log_engine, seconds=30).find({late}) == {late: Decided(1, 1)}
    writer.join()


@pytest.mark.parametrize(("sample", "seconds"), [(1.0, 0.3), (0.0, 0.0)])
def test_the_wait_ends(log_engine: Engine, sample: float, seconds: float) -> None:
    """A request that isn't in the sample isn't waited for."""
    began = time.monotonic()

    assert Lookup(log_engine, sample, seconds or 30).find({Key("never", WALK)}) == {}

    assert seconds <= time.monotonic() - began < seconds + 5


def test_every_request_waits_for_its_prediction(log_engine: Engine) -> None:
    """Also many at once: one that didn't wait would lose its prediction for good."""
    looks: list[object] = []
    event.listen(log_engine, "before_cursor_execute", lambda *look: looks.append(look))
    with ThreadPoolExecutor(16) as threads:
        keys = [Key(str(i), WALK) for i in range(16)]
        found = [threads.submit(Lookup(log_engine, seconds=30).find, {key}) for key in keys]
        until(lambda: len(looks) >= 16)
        log_predictions(log_engine, *({"lights": [1, 0, 1], "request_id": key[0]} for key in keys))
        assert [list(future.result()) for future in found] == [[key] for key in keys]


def test_a_thousand_predictions_are_found_by_one_query_of_the_index(log_engine: Engine) -> None:
    log_predictions(log_engine, *({"lights": [i], "request_id": f"{i}"} for i in range(2000)))
    statements = []
    event.listen(log_engine, "before_cursor_execute", lambda *call: statements.append(call[2:4]))

    found = Lookup(log_engine).find({Key(f"{i}", f"[{i}.0]") for i in range(1000)})

    assert len(found) == 1000
    queries = [query for query in statements if query[0].startswith("SELECT")]
    assert len(queries) == 1
    [(statement, parameters)] = queries
    postgresql = log_engine.dialect.name == "postgresql"
    with log_engine.connect() as connection:
        if postgresql:
            connection.exec_driver_sql("SET enable_seqscan = off")  # the table is small
        explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
        plan = str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())
    assert "ix_predictions_request_id" in plan, plan
