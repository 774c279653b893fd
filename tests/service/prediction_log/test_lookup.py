"""Tests of finding the predictions that observations name."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from streetlight.service.prediction_log import lookup
from streetlight.service.prediction_log.lookup import Decided, Key
from tests.service.prediction_log.predictions import log_predictions
from tests.service.services import services_in


@pytest.fixture
def log(tmp_path: Path, database_url: str | None) -> Iterator[Engine]:
    """An empty prediction log."""
    with services_in(tmp_path, database_url, prediction_log=True) as services:
        yield services.require_prediction_log()


WALK, STOP = "[1.0, 0.0, 1.0]", "[0.0, 0.0, 1.0]"


def test_a_prediction_is_found_by_its_request_and_its_lights(log: Engine) -> None:
    log_predictions(
        log,
        {"lights": [1, 0, 1], "request_id": "a", "version": 1, "decision": 1},
        {"lights": [0, 0, 1], "request_id": "a", "version": 1, "decision": 0, "row": 1},
        {"lights": [1, 0, 1], "request_id": "b", "version": 2, "decision": 0},
        {"lights": [0, 0, 1], "request_id": "b", "version": 2, "decision": 0},
        {"lights": [0, 0, 1], "request_id": "b", "version": 3, "decision": 1},
    )
    keys = {Key("a", WALK), Key("b", STOP), Key("a", "[1.0]"), Key("c", WALK)}

    found = lookup.find(log, keys)

    assert {key: found[key] for key in keys & found.keys()} == {
        Key("a", WALK): Decided(1, 1),
        Key("b", STOP): Decided(3, 1),  # the newest
    }
    assert lookup.find(log, set()) == {}


def test_a_prediction_that_is_written_late_is_waited_for(log: Engine) -> None:
    row = {"lights": [1, 0, 1], "request_id": "late"}
    writer = threading.Timer(0.2, log_predictions, (log, row))
    writer.start()

    assert lookup.find(log, {Key("late", WALK)}, seconds=30) == {Key("late", WALK): Decided(1, 1)}
    writer.join()
    began = time.monotonic()
    assert lookup.find(log, {Key("late", STOP)}, seconds=0.3) == {}
    assert 0.3 <= time.monotonic() - began < 5


def test_a_thousand_predictions_are_found_by_one_query_of_the_index(log: Engine) -> None:
    log_predictions(log, *({"lights": [i], "request_id": f"{i}"} for i in range(2000)))
    statements = []
    event.listen(log, "before_cursor_execute", lambda *call: statements.append(call[2:4]))

    found = lookup.find(log, {Key(f"{i}", f"[{i}.0]") for i in range(1000)})

    assert len(found) == 1000
    queries = [query for query in statements if query[0].startswith("SELECT")]
    assert len(queries) == 1
    [(statement, parameters)] = queries
    postgresql = log.dialect.name == "postgresql"
    with log.connect() as connection:
        if postgresql:
            connection.exec_driver_sql("SET enable_seqscan = off")  # the table is small
        explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
        plan = str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())
    assert "ix_predictions_request_id" in plan, plan
