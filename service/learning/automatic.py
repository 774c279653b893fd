"""Automatic retrainings, submitted by the trainer as the settings `retrain_…` require."""

from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning import queue
from streetlight.service.learning.job import JobSpec, Trigger
from streetlight.service.learning.job_runner import DEFAULT_RECIPE
from streetlight.service.ledger import queries
from streetlight.service.ledger.accuracy import recent_accuracy
from streetlight.service.wiring import Services


def submit_if_due(services: Services) -> None:
    """Queue a retraining if a setting requires one and no job is queued or running.

    `retrain_after` requires one after that many new observations. `retrain_below` requires one if,
    after at least one new observation, the accuracy of the live version over the last
    `retrain_window` observations is lower: the upper end of its Wilson interval, so that bad luck
    in a few observations requires none. Observations are new if they were recorded since the last
    job was submitted.
    """
    settings, engine = services.settings, services.engine
    if settings.retrain_after is None and settings.retrain_below is None:
        return
    last = queue.last_observation(engine)
    new = queries.count_after(engine, last, settings.retrain_after or 1)
    trigger: Trigger | None = None
    if settings.retrain_after is not None and new >= settings.retrain_after:
        trigger = "observations"
    elif settings.retrain_below is not None and new:
        live = live_version_if_any(services.repository)
        if live:
            recent = recent_accuracy(engine, live.number, settings.retrain_window)
            window_full = recent.observations == settings.retrain_window
            if window_full and recent.interval.high < settings.retrain_below:
                trigger = "accuracy"
    if trigger:
        queue.submit_unless_unfinished(engine, JobSpec(DEFAULT_RECIPE), trigger)
