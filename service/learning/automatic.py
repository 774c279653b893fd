"""Automatic retrainings, submitted by the trainer as the settings `retrain_…` require."""

from streetlight.model.registry.version import Version
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning import queue
from streetlight.service.learning.job import JobSpec, Trigger
from streetlight.service.ledger import queries
from streetlight.service.ledger.accuracy import recent_accuracy
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE, RecipeFields
from streetlight.service.wiring import Services

# The number of observations at which the wait after unsuccessful jobs stops to double.
MAX_WAIT = 10_000


def submit_if_due(services: Services) -> None:
    """Queue a retraining if a setting requires one and no job is queued or running.

    `retrain_after` requires one after that many new observations. `retrain_below` requires one if,
    after at least one new observation, the accuracy of the live version over the last
    `retrain_window` observations is lower: the upper end of its Wilson interval, so that bad luck
    in a few observations requires none. Observations are new if they were recorded since the last
    job was submitted.

    After a job that failed or whose version was not promoted, neither setting requires another one
    before there are `retrain_window` new observations; after each further such job in a row twice
    as many, up to `MAX_WAIT`: few new observations rarely turn a failure into a success.

    The recipe is the live version's, or the default one if none is live, with the fields of
    `retrain_recipe`.
    """
    settings, engine = services.settings, services.engine
    if settings.retrain_after is None and settings.retrain_below is None:
        return
    last = queue.last_observation(engine)
    live = live_version_if_any(services.repository, copy=True)
    trigger = _trigger(services, live, last)
    if trigger is None:
        return
    number = live.number if live else None
    wait = wait_after(queue.unsuccessful(engine, number), settings.retrain_window)
    if queries.count_after(engine, last, wait) < wait:
        return
    given = settings.retrain_recipe or RecipeFields()
    recipe = given.recipe(live.manifest.recipe if live else DEFAULT_RECIPE)
    queue.submit_unless_unfinished(engine, JobSpec(recipe), trigger, number)


def _trigger(services: Services, live: Version | None, last: int) -> Trigger | None:
    """Return which setting requires a retraining; observations with ids above `last` are new."""
    settings, engine = services.settings, services.engine
    new = queries.count_after(engine, last, settings.retrain_after or 1)
    if settings.retrain_after is not None and new >= settings.retrain_after:
        return "observations"
    if settings.retrain_below is not None and new and live:
        recent = recent_accuracy(engine, live.number, settings.retrain_window)
        if recent.is_below(settings.retrain_below, settings.retrain_window):
            return "accuracy"
    return None


def wait_after(unsuccessful: int, window: int) -> int:
    """Return the number of new observations to wait for after so many unsuccessful jobs."""
    if not unsuccessful:
        return 0
    return max(window, min(window << (unsuccessful - 1), MAX_WAIT))
