"""Tests of the recorder: what it writes, counts, keeps and deletes."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from streetlight.service.prediction_log import queries, recorder
from streetlight.service.prediction_log.queries import Filter
from streetlight.service.prediction_log.recorder import PredictedRows, Recorder
from streetlight.service.store.engine import write_transaction
from tests import databases

Counts = Callable[[], dict[str, int]]


def new_recorder(
    engine: Engine, sample: float = 1, max_rows: int = 10**6, max_age: float = 1000
) -> Recorder:
    return Recorder(engine, sample, max_rows, max_age)


def one_row(request_id: str = "one", at: float | None = None) -> PredictedRows:
    return PredictedRows(at or time.time(), request_id, "native", 1, [1.0, 0.0], [0.75])


def many_rows(count: int, request_id: str = "many", dtype: Any = float) -> PredictedRows:
    lights = np.arange(2 * count).reshape(count, 2).astype(dtype)
    return PredictedRows(time.time(), request_id, "v2", 2, lights, np.linspace(0.25, 0.75, count))


def logged(engine: Engine) -> list[queries.LoggedPrediction]:
    return [row for rows in queries.stream(engine, Filter()) for row in rows]


def test_rows_are_written_in_the_order_of_the_predictions(log_engine: Engine) -> None:
    written = new_recorder(log_engine)
    written.record(one_row(at=time.time() - 1))
    written.record(many_rows(2, dtype=np.uint8))
    written.write()

    rows = logged(log_engine)
    assert [row.id for row in rows] == [1, 2, 3]
    assert [(row.request_id, row.row, row.dialect, row.version) for row in rows] == [
        ("one", 0, "native", 1),
        ("many", 0, "v2", 2),
        ("many", 1, "v2", 2),
    ]
    assert [row.lights for row in rows] == [[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]]
    assert [(row.score, row.decision) for row in rows] == [
        (0.75, "walk"),
        (0.25, "stop"),
        (0.75, "walk"),
    ]
    assert [type(light) for row in rows for light in row.lights] == [float] * 6


def test_light_states_have_the_text_of_the_ledger() -> None:
    lights = [1.0, -0.0, 5e-324, 1e22, 0.1, -123456789.125, 1e-7]

    [row] = one_row()._replace(lights=lights).rows()

    assert row[5] == json.dumps(lights)


def test_a_body_that_is_received_into_the_same_memory_changes_no_row(log_engine: Engine) -> None:
    written, rows = new_recorder(log_engine), many_rows(2)
    assert isinstance(rows.lights, np.ndarray)
    written.record(rows)
    rows.lights[:] = 9
    written.write()

    assert [row.lights for row in logged(log_engine)] == [[0.0, 1.0], [2.0, 3.0]]


def test_of_a_large_request_the_first_rows_are_logged(log_engine: Engine, counted: Counts) -> None:
    written = new_recorder(log_engine)
    written.record(many_rows(recorder.MAX_ROWS + 7))
    written.write()

    assert [row.row for row in logged(log_engine)] == list(range(recorder.MAX_ROWS))
    assert counted() == {"written": recorder.MAX_ROWS, "over_limit": 7}


def test_what_a_full_buffer_drops_is_counted(
    log_engine: Engine, counted: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_NUMBERS", 1000)
    written = new_recorder(log_engine)
    for i in range(100):
        written.record(one_row(str(i)))
        written.record(many_rows(3, str(i)))
    written.write()

    counts = counted()
    assert counts.keys() == {"written", "buffer_full"}
    assert sum(counts.values()) == 400
    assert len(logged(log_engine)) == counts["written"]
    # The buffer is empty again.
    written.record(one_row("after"))
    written.write()
    assert logged(log_engine)[-1].request_id == "after"


def test_requests_are_sampled_by_their_id(log_engine: Engine, counted: Counts) -> None:
    for _ in range(2):  # as in two workers
        written = new_recorder(log_engine, sample=0.25)
        for i in range(400):
            written.record(many_rows(2, f"request-{i}"))
        written.write()

    ids = [row.request_id for row in logged(log_engine)]
    assert 60 < len(set(ids)) < 140
    assert all(ids.count(request_id) == 4 for request_id in set(ids))
    assert counted() == {"written": len(ids), "sampled_out": 1600 - len(ids)}


def test_a_share_of_zero_logs_nothing(log_engine: Engine, counted: Counts) -> None:
    written = new_recorder(log_engine, sample=0)
    written.record(one_row())
    written.write()

    assert logged(log_engine) == []
    assert counted() == {"sampled_out": 1}


def break_database(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("no database")

    monkeypatch.setattr(engine, "connect", fail)


def test_rows_are_kept_until_the_database_is_back(
    log_engine: Engine, counted: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = new_recorder(log_engine)
    with monkeypatch.context() as patch:
        break_database(log_engine, patch)
        for i in range(2 * recorder.BATCH_SIZE):
            written.record(one_row(str(i)))
            if i % 100 == 0:
                written.write()
        assert counted() == {}
    written.write()

    ids = [row.request_id for row in logged(log_engine)]
    assert ids == [str(i) for i in range(2 * recorder.BATCH_SIZE)]
    assert counted() == {"written": len(ids)}


def test_rows_that_could_not_be_written_in_time_are_counted(
    log_engine: Engine, counted: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, long_ago = new_recorder(log_engine), time.time() - queries.MAX_DELAY + 30
    with monkeypatch.context() as patch:
        break_database(log_engine, patch)
        for i in range(2 * recorder.BATCH_SIZE):
            written.record(one_row(str(i), long_ago))
        written.write()
    monkeypatch.setattr("streetlight.service.prediction_log.recorder.MAX_DELAY", 10)
    written.record(one_row("new"))
    written.write()

    assert [row.request_id for row in logged(log_engine)] == ["new"]
    assert counted() == {"written": 1, "write_failed": 2 * recorder.BATCH_SIZE}


def test_a_recorder_that_stops_writes_the_rest(log_engine: Engine, counted: Counts) -> None:
    written = new_recorder(log_engine)
    written.start()
    for i in range(3 * recorder.BATCH_SIZE):
        written.record(one_row(str(i)))
    written.stop()

    assert len(logged(log_engine)) == 3 * recorder.BATCH_SIZE
    assert counted() == {"written": 3 * recorder.BATCH_SIZE}


def test_a_recorder_that_stops_does_not_wait_for_a_database_for_long(
    log_engine: Engine,
    counted: Counts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(recorder, "STOP_TIMEOUT", 0.2)
    written = new_recorder(log_engine)
    written.start()
    with databases.outage(log_engine.url.render_as_string(hide_password=False)):
        for i in range(3 * recorder.BATCH_SIZE):
            written.record(one_row(str(i)))
        began = time.monotonic()
        written.stop()
        assert time.monotonic() - began < 2
        assert counted() == {"write_failed": 3 * recorder.BATCH_SIZE}
        assert f"{3 * recorder.BATCH_SIZE} predictions are not in the" in caplog.text


def test_the_oldest_rows_are_deleted(log_engine: Engine) -> None:
    written = new_recorder(log_engine, max_rows=1000)
    for i in range(4000):
        written.record(one_row(str(i)))
    written.write()

    assert [row.request_id for row in logged(log_engine)] == [str(i) for i in range(3000, 4000)]


def test_a_smaller_log_shrinks_in_steps(
    log_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = new_recorder(log_engine)
    for i in range(3500):
        written.record(one_row(str(i)))
    written.write()
    monkeypatch.setattr(recorder, "DELETE_SIZE", 1000)
    smaller = new_recorder(log_engine, max_rows=1000)

    lengths = []
    for _ in range(4):  # without a new row
        smaller.write()
        lengths.append(len(logged(log_engine)))

    assert lengths == [2500, 1500, 1000, 1000]


def test_old_rows_are_deleted_and_ids_are_not_used_again(log_engine: Engine) -> None:
    written = new_recorder(log_engine)
    written.record(one_row("older", time.time() - 50))
    written.record(one_row("newer", time.time() - 20))
    written.write()
    for max_age in (30, 10):
        new_recorder(log_engine, max_age=max_age).write()
        assert len(logged(log_engine)) == (max_age == 30)

    written.record(one_row())
    written.write()

    assert [row.id for row in logged(log_engine)] == [3]


def test_old_rows_are_deleted_behind_a_row_of_a_clock_that_was_ahead(log_engine: Engine) -> None:
    written = new_recorder(log_engine, max_age=1000)
    written.record(one_row("ahead", time.time() + 5000))
    written.write()
    written.record(one_row("old", time.time() - 50))
    written.record(one_row("new"))
    written.write()

    new_recorder(log_engine, max_age=30).write()

    assert [row.request_id for row in logged(log_engine)] == ["ahead", "new"]


def test_the_log_waits_for_no_writer_of_the_ledger(log_engine: Engine, engine: Engine) -> None:
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("DELETE FROM observations")
        written = new_recorder(log_engine)
        written.record(one_row())
        written.write()

        assert len(logged(log_engine)) == 1
