"""Run a process, and start it again whenever it exits."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

# In seconds.
POLL_INTERVAL = 0.25
FIRST_RESTART_DELAY = 0.5
MAX_RESTART_DELAY = 30.0

log = logging.getLogger(__name__)


def install_stop_signals() -> threading.Event:
    """Return an event that is set by SIGTERM and SIGINT."""
    event = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return event


def supervise(run: Callable[[], object], parent: int) -> None:
    """Run `run` in a forked process, and start it again when the process exits.

    Return after SIGTERM or SIGINT, or when the process `parent` is no longer the parent; the
    forked process is terminated first. The delay before a restart doubles from 0.5 to 30 s.
    """
    stopping, delay = install_stop_signals(), FIRST_RESTART_DELAY
    while not stopping.is_set() and os.getppid() == parent:
        trainer = multiprocessing.get_context("fork").Process(target=run)
        trainer.start()
        while trainer.is_alive() and not stopping.is_set() and os.getppid() == parent:
            stopping.wait(POLL_INTERVAL)
        if not trainer.is_alive():
            log.warning("the trainer exited with status %s; restarting it", trainer.exitcode)
            stopping.wait(delay)
            delay = min(2 * delay, MAX_RESTART_DELAY)
        while trainer.is_alive():
            # Repeated, because a trainer that has not installed its own signal handler yet
            # inherits the supervisor's, which only sets an event that the trainer doesn't read.
            trainer.terminate()
            trainer.join(POLL_INTERVAL)
