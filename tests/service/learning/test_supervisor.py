"""Tests of the supervisor, with processes that only exit or wait."""

import os
import re
import signal
import time
from collections.abc import Callable

import pytest

from streetlight.service.learning import supervisor
from streetlight.service.learning.supervisor import Supervisor
from tests.service.conftest import until

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing take long."""
    monkeypatch.setattr(supervisor, "FIRST_RESTART_DELAY", 0.01)
    monkeypatch.setattr(supervisor, "MAX_RESTART_DELAY", 0.04)
    monkeypatch.setattr(supervisor, "GOOD_RUN", 0.3)
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT", 0.3)


def checked(supervisor: Supervisor, holds: Callable[[], bool]) -> None:
    """Check the process again and again until `holds` returns true."""

    def check() -> bool:
        supervisor.check()
        return holds()

    until(check)


def test_the_delay_grows_and_after_a_good_run_is_the_first_one_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = 0

    def exit_at_once(_parent: int) -> None:
        # The sixth run is a good one.
        time.sleep(0.4 if runs == 5 else 0)
        raise SystemExit(3)

    def count_runs() -> bool:
        nonlocal runs
        runs = len(caplog.messages)
        return runs == 7

    checked(Supervisor("trainer", exit_at_once), count_runs)
    delays = [
        float(found.group(1))
        for message in caplog.messages
        if (found := re.fullmatch(r".* status 3; starting another one in (.*) s", message))
    ]
    assert delays == [0.01, 0.02, 0.04, 0.04, 0.04, 0.01, 0.02]


def test_a_process_that_cannot_be_forked_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fail)
        supervised = Supervisor("trainer", lambda _: None)
        checked(supervised, lambda: len(caplog.messages) == 2)
    assert "can't start the trainer ([Errno 11] Resource temporarily unavailable)" in caplog.text
    checked(supervised, lambda: "exited with status 0" in caplog.text)


def test_a_process_that_ignores_the_signal_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    ready, started = os.pipe()

    def ignore(_parent: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(started, b"%d" % os.getpid())
        time.sleep(60)

    supervised = Supervisor("trainer", ignore)
    supervised.check()
    pid = int(os.read(ready, 10))
    supervised.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    supervised.check()
    assert not caplog.messages


def test_a_process_that_is_stopping_gets_no_signal_every_tenth_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each signal restarts the wait after which psycopg looks at the time."""
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT", 30)
    ready, started = os.pipe()
    signals = 0

    def count(_signal: int, _frame: object) -> None:
        nonlocal signals
        signals += 1

    def stop_slowly(_parent: int) -> None:
        signal.signal(signal.SIGTERM, count)
        os.write(started, b"started")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(0.01)
        os.write(started, b"%d" % signals)

    supervised = Supervisor("trainer", stop_slowly)
    supervised.check()
    assert os.read(ready, 10) == b"started"
    supervised.stop()
    assert os.read(ready, 10) == b"1"
