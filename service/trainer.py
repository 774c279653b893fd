"""The trainer: a process that takes one job after another, and the one that keeps it alive.

What a job does is in `retraining`.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable
from types import FrameType

from sqlalchemy.exc import DBAPIError

from service import jobs, observations
from service.bootstrap import Services
from service.claims import claim
from service.jobs import Order, Trigger
from service.predictions import live_version_if_any
from service.retraining import DEFAULT_RECIPE, work_on

POLL_SECONDS = 0.25
LONGEST_PAUSE = 30.0
# A prediction doesn't wait for a training to make room: docs/decisions/0015.
NICE = 10

log = logging.getLogger(__name__)


def ending() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    event = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        event.set()

    for by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(by, end)
    return event


def work(services: Services, parent: int) -> None:
    """Take jobs until a signal, or the end of the parent, says to stop.

    The job under way goes back into the queue then.
    """
    end = ending()
    os.nice(NICE)
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    log.info("trainer %s waits for jobs", owner)

    def is_ending() -> bool:
        return end.is_set() or os.getppid() != parent

    while not is_ending():
        try:
            held = claim(services.engine, owner, services.settings.job_lease)
            if held:
                work_on(services, held, is_ending)
                continue
            submit_if_due(services)
        except DBAPIError:
            log.exception("the database failed; trying again")
        end.wait(POLL_SECONDS)


def submit_if_due(services: Services) -> None:
    """Queue a retraining that nobody asked for, where the settings say it is time."""
    settings, engine = services.settings, services.engine
    if settings.retrain_after is None and settings.retrain_below is None:
        return
    new = observations.arrived(engine, jobs.last_submitted(engine), settings.retrain_after or 1)
    trigger: Trigger | None = None
    if settings.retrain_after is not None and new >= settings.retrain_after:
        trigger = "observations"
    elif settings.retrain_below is not None and new:
        live = live_version_if_any(services.repository)
        if live:
            done = observations.recent_accuracy(engine, live.number, settings.retrain_window)
            full = done.observations == settings.retrain_window
            if full and done.right / done.observations < settings.retrain_below:
                trigger = "accuracy"
    if trigger:
        jobs.submit_unless_waiting(engine, Order(DEFAULT_RECIPE), trigger)


def keep(run: Callable[[], object], parent: int) -> None:
    """Let `run` be done in a fork, again and again, until a signal or the end of the parent."""
    end, pause = ending(), 0.5
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
