"""Tests of the format of log records, and of errors that occur repeatedly."""

import io
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from streetlight.service.observability.logs import (
    REPEAT_INTERVAL,
    RepeatedErrors,
    formatter,
    log_fields,
)
from tests.server import ForkedServer
from tests.service.conftest import until

INJECTED = "\x1b[31m\r\n{} ü \udcff " + "9" * 100_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Log:
    """A logger of the test's own, and what it has written to `stream`."""

    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter(stream))
        handler.addFilter(RepeatedErrors())
        self.logger = logging.Logger("a test", logging.INFO)
        self.logger.addHandler(handler)

    def fail(self, error: Exception) -> None:
        try:
            self.raise_error(error)
        except Exception:
            self.logger.exception("failed", extra=log_fields(request_id="me"))

    def raise_error(self, error: Exception) -> None:
        raise error

    def take(self) -> list[str]:
        """Return the lines since the last call."""
        lines = self.stream.getvalue().splitlines()
        self.stream.truncate(0)
        self.stream.seek(0)
        return lines


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_a_client_sent_is_shortened_and_escaped(stream: Callable[[], io.StringIO]) -> None:
    log = Log(stream())

    log.logger.info("rejected: %s", INJECTED)
    log.fail(ValueError(INJECTED))

    message, *error = log.take()
    assert len(message) < 1500
    assert sum(map(len, error)) < 20_000
    assert all(line.isprintable() for line in [message, *error])
    if stream is Terminal:
        assert all(line.startswith("    ") for line in error[1:])
        assert error[-1].endswith("999")
    else:
        assert json.loads(message)["message"].startswith("rejected: \x1b[31m\r\n{} ü ")
        assert json.loads(error[0])["exception"].endswith("999")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_an_error_that_repeats_is_logged_once_with_the_number_of_others(
    stream: Callable[[], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = Log(stream())

    for number in range(5):
        log.fail(ValueError(f"the value {number}"))
    lines = log.take()
    assert sum("failed" in line for line in lines) == 1
    assert "the value 0" in lines[-1]
    log.fail(KeyError("of another type"))
    assert "of another type" in log.take()[-1]

    now += REPEAT_INTERVAL
    log.fail(ValueError("again"))
    log.fail(ValueError("and again"))
    (line,) = [line for line in log.take() if "failed" in line]
    if stream is Terminal:
        assert line.endswith("error: failed  request_id=me  left_out=4")
    else:
        assert json.loads(line)["left_out"] == 4
        assert json.loads(line)["request_id"] == "me"


@pytest.mark.process
def test_requests_without_their_table_log_one_traceback(server: ForkedServer) -> None:
    with closing(sqlite3.connect(server.data_dir / "streetlight.db")) as database:
        database.execute("DROP TABLE observations")
    before = len(server.log.read_text())

    for _ in range(30):
        server.expect(503, "GET", "/observations?limit=7")

    until(lambda: server.log.read_text().count('"GET /observations 503"') == 30)
    log = server.log.read_text()[before:]
    assert log.count('"exception"') == 1
    assert len(log) < 30 * 300 + 10_000


@pytest.mark.process
def test_an_error_of_the_database_is_logged_without_the_values(server: ForkedServer) -> None:
    with closing(sqlite3.connect(server.data_dir / "streetlight.db")) as database:
        database.execute("ALTER TABLE observations RENAME COLUMN source TO another")

    body = {"lights": [1, 0, 0.123456789], "outcome": "walk"}
    server.expect(503, "POST", "/observations", body, **{"Idempotency-Key": "the-key"})

    log = server.wait_for_log('"POST /observations 503"')
    assert "has no column named source" in log
    assert "0.123456789" not in log
    assert "the-key" not in log
