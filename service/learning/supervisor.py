"""Keep a process running: start it again whenever it exits.

`trainer` has what the trainer does. `cli.main_process` keeps the processes of `streetlight serve`.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

# In seconds.
POLL_INTERVAL = 0.25
FIRST_RESTART_DELAY = 0.5
MAX_RESTART_DELAY = 30.0
# After a run of this length, the next delay is the first one again.
GOOD_RUN = 60.0
STOP_TIMEOUT = 30.0
# Between two signals, and between two looks for the end of the process.
SIGNAL_INTERVAL = 1.0
STOP_INTERVAL = 0.05
PR_SET_PDEATHSIG = 1  # of Linux's <sys/prctl.h>

log = logging.getLogger(__name__)


def install_stop_signals() -> threading.Event:
    """Return an event that is set by SIGTERM and SIGINT."""
    event = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return event


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, even while it hangs or is suspended.

    It would otherwise keep its sockets: the kernel would give connections to that of a worker.
    """
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Supervisor:
    """Calls `run` in a forked process, and starts another one when the process exits.

    `name` is that of the process in the log. The argument of `run` is the id of the parent, this
    process. The delay before a restart doubles from 0.5 to 30 s, until a process has run for a
    minute.
    """

    def __init__(self, name: str, run: Callable[[int], object]) -> None:
        self._name = name
        self._run = run
        self._pid = 0  # no process runs
        self._delay = FIRST_RESTART_DELAY
        # Of the process that runs, or else of the next one.
        self._start_time = time.monotonic()
        self._stopping = False

    def check(self) -> None:
        """Start the process if none runs and the delay is over; the caller repeats this."""
        self.reap()
        if not self._pid and not self._stopping and time.monotonic() >= self._start_time:
            try:
                self._start()
            except OSError as error:
                self._start_later(f"can't start the {self._name} ({error})")

    def reap(self) -> None:
        """Take notice of the end of the process."""
        if not self._pid:
            return
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # other code in this process has waited for it
            pid, status = self._pid, 0
        if pid:
            self._pid = 0
            if time.monotonic() > self._start_time + GOOD_RUN:
                self._delay = FIRST_RESTART_DELAY
            code = os.waitstatus_to_exitcode(status)
            self._start_later(f"the {self._name} exited with status {code}")

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process, and start no other one."""
        self._stopping = True
        self.reap()
        if self._pid:
            os.kill(self._pid, number)

    def stop(self) -> None:
        """End the process by SIGTERM, or after 30 s by SIGKILL, and wait for its end."""
        now = next_signal = time.monotonic()
        deadline = now + STOP_TIMEOUT
        while self._pid:
            # Repeated, because until a process has installed its own signal handlers, it has those
            # of its parent, which drop the signal. Not more often: each signal restarts the tenth
            # of a second after which psycopg looks whether the database has been silent for long.
            if now >= min(next_signal, deadline):
                self.terminate(signal.SIGTERM if now < deadline else signal.SIGKILL)
                next_signal = now + SIGNAL_INTERVAL
            time.sleep(STOP_INTERVAL)
            self.reap()
            now = time.monotonic()

    def _start(self) -> None:
        self._start_time = time.monotonic()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            return
        status: object = 1
        try:
            status = self._run(parent)
        except SystemExit as error:
            status = error.code
        except Exception:
            log.exception("the %s failed", self._name)
        finally:
            with suppress(Exception):
                sys.stdout.flush()
            os._exit(status if isinstance(status, int) else 0)

    def _start_later(self, reason: str) -> None:
        if self._stopping:
            return
        log.warning("%s; starting another one in %g s", reason, self._delay)
        self._start_time = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, MAX_RESTART_DELAY)


def supervise(run: Callable[[int], object], parent: int) -> None:
    """Keep a trainer running, until SIGTERM or SIGINT, or until `parent` isn't the parent."""
    stopping, supervisor = install_stop_signals(), Supervisor("trainer", run)
    while not stopping.is_set() and os.getppid() == parent:
        supervisor.check()
        stopping.wait(POLL_INTERVAL)
    supervisor.stop()
