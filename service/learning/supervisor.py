"""Keeps a trainer running."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

POLL_SECONDS = 0.25
LONGEST_PAUSE = 30.0

log = logging.getLogger(__name__)


def install_stop_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    event = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        event.set()

    for by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(by, end)
    return event


def supervise(run: Callable[[], object], parent: int) -> None:
    """Let `run` be done in a fork, again and again, until a signal or the end of the parent."""
    end, pause = install_stop_signals(), 0.5
    while not end.is_set() and os.getppid() == parent:
        trainer = multiprocessing.get_context("fork").Process(target=run)
        trainer.start()
        while trainer.is_alive() and not end.is_set() and os.getppid() == parent:
            end.wait(POLL_SECONDS)
        if not trainer.is_alive():
            log.warning("the trainer ended with status %s; starting another", trainer.exitcode)
            end.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        while trainer.is_alive():
            # Again and again: it may have missed the first, before it had begun to listen.
            trainer.terminate()
            trainer.join(POLL_SECONDS)
