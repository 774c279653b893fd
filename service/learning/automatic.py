"""Retrainings that nobody asked for."""

from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning import queue
from streetlight.service.learning.job_runner import DEFAULT_RECIPE
from streetlight.service.learning.queue import JobSpec, Trigger
from streetlight.service.ledger import queries
from streetlight.service.wiring import Services


def submit_if_due(services: Services) -> None:
    """Queue a retraining that nobody asked for, where the settings say it is time."""
    settings, engine = services.settings, services.engine
    if settings.retrain_after is None and settings.retrain_below is None:
        return
    new = queries.count_since(engine, queue.last_submitted(engine), settings.retrain_after or 1)
    trigger: Trigger | None = None
    if settings.retrain_after is not None and new >= settings.retrain_after:
        trigger = "observations"
    elif settings.retrain_below is not None and new:
        live = live_version_if_any(services.repository)
        if live:
            done = queries.recent_accuracy(engine, live.number, settings.retrain_window)
            full = done.observations == settings.retrain_window
            if full and done.correct / done.observations < settings.retrain_below:
                trigger = "accuracy"
    if trigger:
        queue.submit_unless_waiting(engine, JobSpec(DEFAULT_RECIPE), trigger)
