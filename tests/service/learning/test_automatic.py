"""Tests of automatic retrainings: when a setting requires one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from streetlight.model.dataset import LAB, outcome_name
from streetlight.model.registry.manifest import Provenance
from streetlight.service.learning import queue
from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.learning.job import JobSpec
from streetlight.service.learning.job_runner import DEFAULT_RECIPE
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import observations
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


def end_job(services: Services, number: int) -> None:
    queue.cancel(services.engine, number)


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
