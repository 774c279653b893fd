"""Tests of automatic retrainings: when a setting requires one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from streetlight.model.dataset import LAB, outcome_name
from streetlight.model.registry.manifest import Provenance
from streetlight.service.learning import queue
from streetlight.service.learning.automatic import MAX_WAIT, submit_if_due, wait_after
from streetlight.service.learning.job import JobSpec
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import jobs, observations
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.wiring import Services
from tests.service.services import services_in, training

Configure = Callable[..., Services]


@pytest.fixture
def configure(tmp_path: Path, database_url: str | None) -> Iterator[Configure]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            services_in(tmp_path, database_url, **settings)
        )


def observe(services: Services, *outcomes: str) -> None:
    rows = [
        NewObservation((1.0, 0.0, 1.0), outcome_name(outcome == "walk")) for outcome in outcomes
    ]
    record(services.engine, rows, services.repository.live(), "api")


def go_live(services: Services) -> None:
    """Promote a version that decides walk for the observations of this module."""
    result = training(1.0, 0.0, 0.0)
    number = services.repository.publish(result, LAB, Provenance("test")).number
    services.repository.promote(number)


def triggers(services: Services) -> Sequence[str]:
    """Submit a job if one is due, and return the triggers of all jobs, oldest first."""
    submit_if_due(services)
    return [job.trigger for job in queue.page(services.engine, None, 10)[0]][::-1]


def end_job(services: Services, number: int, promoted: bool | None = True) -> None:
    """End a job as if its version had been promoted, or not, or, with `None`, as failed."""
    values = {"state": "failed" if promoted is None else "succeeded", "promoted": promoted}
    with write_transaction(services.engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id == number).values(**values))


def observe_until_due(services: Services) -> int:
    """Observe contradicting outcomes one by one until a job is queued, and return their number."""
    for count in range(1, 1000):
        observe(services, "stop")
        submit_if_due(services)
        [job, *_] = queue.page(services.engine, None, 1)[0]
        if job.state == "queued":
            return count
    raise AssertionError("no job is queued after 999 observations")


def test_without_a_setting_nothing_is_submitted(configure: Configure) -> None:
    services = configure()
    go_live(services)
    observe(services, *["stop"] * 60)

    assert triggers(services) == []


def test_enough_new_observations_trigger_a_job(configure: Configure) -> None:
    services = configure(retrain_after=3)
    observe(services, "walk", "stop")
    assert triggers(services) == []  # the lab's observations aren't new

    observe(services, "walk")
    assert triggers(services) == ["observations"]
    job = queue.get(services.engine, 1)
    assert (job.recipe, job.promote, job.request_id) == (DEFAULT_RECIPE, "not_worse", None)
    assert triggers(services) == ["observations"]  # the job is still queued

    end_job(services, 1)
    assert triggers(services) == ["observations"]  # nothing is new since the job was submitted


def test_a_clock_that_is_set_back_hides_no_observation(configure: Configure) -> None:
    services = configure(retrain_after=2)
    observe(services, "walk", "stop")
    assert triggers(services) == ["observations"]
    end_job(services, 1)

    observe(services, "walk", "stop")
    with write_transaction(services.engine) as connection:
        connection.execute(update(observations).values(at=observations.c.at - 3600))

    assert triggers(services) == ["observations"] * 2


def test_a_low_accuracy_over_a_full_window_triggers_a_job(configure: Configure) -> None:
    services = configure(retrain_below=0.8, retrain_window=10)
    observe(services, "stop", "stop")
    assert triggers(services) == []  # no version is live

    go_live(services)
    observe(services, *["stop"] * 9)
    assert triggers(services) == []  # the window isn't full

    observe(services, *["walk"] * 6)
    assert triggers(services) == []  # 6 of 10: the upper end of the interval is 0.83

    observe(services, *["stop"] * 10, *["walk"] * 6, "stop")
    assert triggers(services) == []  # still 6 of 10

    observe(services, *["stop"] * 4)
    assert triggers(services) == ["accuracy"]  # 5 of 10: it is 0.76


def test_a_low_accuracy_without_new_observations_triggers_no_job(configure: Configure) -> None:
    services = configure(retrain_below=1.0, retrain_window=2)
    go_live(services)
    observe(services, "stop", "stop")
    queue.submit(services.engine, JobSpec(DEFAULT_RECIPE), None)
    end_job(services, 1)

    assert triggers(services) == ["request"]

    observe(services, "stop")
    assert triggers(services) == ["request", "accuracy"]


def test_the_number_of_observations_is_checked_before_the_accuracy(configure: Configure) -> None:
    services = configure(retrain_after=5, retrain_below=1.0, retrain_window=2)
    go_live(services)
    observe(services, "stop", "stop")
    assert triggers(services) == ["accuracy"]

    end_job(services, 1)
    observe(services, *["stop"] * 5)
    assert triggers(services) == ["accuracy", "observations"]


def test_an_accuracy_of_one_triggers_no_job(configure: Configure) -> None:
    services = configure(retrain_below=1.0, retrain_window=2)
    go_live(services)
    observe(services, "walk", "walk")

    assert np.all(services.repository.load(1).network.scores(np.array([[1.0, 0, 1]])) >= 1)
    assert triggers(services) == []


@pytest.mark.parametrize("settings", [{"retrain_below": 1.0}, {"retrain_after": 1}])
def test_after_each_unsuccessful_job_the_next_one_waits_twice_as_long(
    configure: Configure, settings: dict[str, float]
) -> None:
    services = configure(retrain_window=3, **settings)
    go_live(services)
    observe(services, "stop", "stop", "stop")
    submit_if_due(services)

    waited = []
    for number, promoted in enumerate([None, False, None, None], 1):
        end_job(services, number, promoted)
        waited.append(observe_until_due(services))
    assert waited == [3, 6, 12, 24]

    # A request isn't delayed; if it promotes nothing, the row of unsuccessful jobs goes on.
    queue.cancel(services.engine, 5)
    queue.submit(services.engine, JobSpec(DEFAULT_RECIPE), None)
    end_job(services, 6, promoted=False)
    assert observe_until_due(services) == 48

    end_job(services, 7, promoted=True)
    assert observe_until_due(services) == 1
    end_job(services, 8, promoted=False)
    assert observe_until_due(services) == 3


def test_a_promotion_by_a_client_ends_the_wait(configure: Configure) -> None:
    services = configure(retrain_below=1.0, retrain_window=3)
    go_live(services)
    observe(services, "stop", "stop", "stop")
    submit_if_due(services)
    for number in (1, 2, 3):
        end_job(services, number, promoted=False)
        observe_until_due(services)
    end_job(services, 4, promoted=False)

    go_live(services)
    assert observe_until_due(services) == 3  # its window is full


def test_the_wait_is_bounded() -> None:
    assert wait_after(0, 50) == 0
    assert [wait_after(n, 50) for n in (1, 2, 8, 9, 50)] == [50, 100, 6400, MAX_WAIT, MAX_WAIT]
    assert wait_after(5, 20_000) == 20_000


def test_the_recipe_is_the_live_version_s_with_the_fields_of_the_setting(
    configure: Configure,
) -> None:
    services = configure(retrain_after=1)
    go_live(services)  # with hidden_sizes=()
    observe(services, "stop")
    submit_if_due(services)
    live = services.repository.load(1).manifest.recipe
    assert queue.get(services.engine, 1).recipe == live != DEFAULT_RECIPE

    end_job(services, 1)
    services = configure(
        retrain_after=1, retrain_recipe='{"alpha": 0.05, "batch_size": null, "iterations": 7}'
    )
    observe(services, "stop")
    submit_if_due(services)
    assert queue.get(services.engine, 2).recipe == replace(
        live, alpha=0.05, batch_size=None, iterations=7
    )


def test_the_setting_changes_the_default_recipe_if_no_version_is_live(configure: Configure) -> None:
    services = configure(retrain_after=1, retrain_recipe='{"seed": 9}')
    observe(services, "stop")
    submit_if_due(services)
    assert queue.get(services.engine, 1).recipe == replace(DEFAULT_RECIPE, seed=9)
