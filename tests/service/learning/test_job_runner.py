"""Tests of the job runner: publication, promotion, cancellation and lost leases."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from streetlight.model.dataset import LAB, Dataset
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import Progress, fit
from streetlight.service.learning import job_runner, queue
from streetlight.service.learning.job import Job, JobProgress, JobSpec
from streetlight.service.learning.job_runner import (
    MAX_CURVE_POINTS,
    ErrorCurve,
    run_job,
)
from streetlight.service.learning.lease import MAX_ATTEMPTS, Lease, acquire_lease
from streetlight.service.ledger import training_set
from streetlight.service.ledger.queries import withdraw
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import jobs
from streetlight.service.validation.fields import MustHold
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.wiring import Services
from tests.service.services import training

RECIPE = Recipe()
# A version trained on the lab's observations doesn't satisfy this pattern.
BROKEN = MustHold((1.0, 0.0, 1.0), "stop")


def never_stop() -> bool:
    return False


def lease_on(services: Services, spec: JobSpec, attempt: int = 1) -> Lease:
    """Queue a job, and return the lease on its attempt number `attempt`."""
    number = queue.submit(services.engine, spec, "request-1").id
    with write_transaction(services.engine) as connection:
        chosen = update(jobs).where(jobs.c.id == number)
        connection.execute(chosen.values(attempt=attempt - 1))
    lease = acquire_lease(services.engine, "a", 60)
    assert lease is not None
    assert (lease.job.id, lease.job.attempt) == (number, attempt)
    return lease


def run(
    services: Services,
    recipe: Recipe = RECIPE,
    attempt: int = 1,
    should_stop: Callable[[], bool] = never_stop,
    **spec: Any,
) -> Job:
    lease = lease_on(services, JobSpec(recipe, **spec), attempt)
    run_job(services, lease, should_stop)
    return queue.get(services.engine, lease.job.id)


def publish(services: Services, job: int | None) -> Version:
    """Publish a version trained on the lab's observations."""
    return services.repository.publish(fit(LAB, RECIPE), LAB, Provenance("ledger", job=job))


def take_over(services: Services) -> None:
    """Expire the lease of the running job, and acquire the job for another trainer."""
    with write_transaction(services.engine) as connection:
        connection.execute(update(jobs).values(lease_until=0))
    assert acquire_lease(services.engine, "b", 60) is not None


def owner(services: Services) -> tuple[str, str]:
    with services.engine.connect() as connection:
        row = connection.execute(jobs.select()).one()
    return row.owner, row.state


def test_a_version_is_trained_published_and_promoted(services: Services) -> None:
    job = run(services)

    assert (job.state, job.version, job.promoted) == ("succeeded", 1, True)
    assert job.verdict is not None
    assert (job.verdict.passed, job.verdict.forced, job.verdict.against) == (True, False, None)
    assert job.progress is not None
    assert (job.progress.iteration, job.progress.seed) == (60, 1)
    version = services.repository.load(1)
    manifest = version.manifest
    assert (manifest.dataset, manifest.parent, manifest.job) == ("ledger", None, 1)
    assert [tuple(ids) for ids in manifest.observations or ()] == [(1, 4)]
    assert (manifest.recipe, manifest.rows) == (RECIPE, 4)
    assert version.dataset().lights.tolist() == LAB.lights.tolist()
    [promotion] = services.repository.promotions()
    assert (promotion.version, promotion.reason) == (1, "job 1")

    second = run(services)

    assert (second.version, second.promoted) == (2, True)
    assert second.verdict is not None
    assert second.verdict.against == 1
    assert services.repository.load(2).manifest.parent == 1
    assert services.repository.live_number() == 2


def test_each_log_line_names_the_job_and_the_request(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(services)

    fields = [record.log_fields for record in caplog.records]  # type: ignore[attr-defined]
    assert fields == [{"job": 1, "request_id": "request-1"}] * 2


@pytest.mark.parametrize(
    ("promote", "must_hold", "promoted", "forced"),
    [
        ("not_worse", (), True, False),
        ("not_worse", (BROKEN,), False, False),
        ("always", (), True, False),
        ("always", (BROKEN,), True, True),
        ("never", (), False, False),
        ("never", (BROKEN,), False, False),
    ],
)
def test_promotion_depends_on_the_job_and_the_gate(
    services: Services, promote: Any, must_hold: Any, promoted: bool, forced: bool
) -> None:
    job = run(services, promote=promote, must_hold=must_hold)

    assert (job.state, job.version, job.promoted) == ("succeeded", 1, promoted)
    assert job.verdict is not None
    assert (job.verdict.passed, job.verdict.forced) == (not must_hold, forced)
    assert services.repository.live_number() == (1 if promoted else None)
    reasons = [promotion.reason for promotion in services.repository.promotions()]
    assert reasons == (["job 1, forced" if forced else "job 1"] if promoted else [])


def test_the_patterns_of_the_settings_and_of_the_job_are_checked(services: Services) -> None:
    settings = services.settings.model_copy(update={"must_hold": (BROKEN,)})
    verdict = run(replace(services, settings=settings), must_hold=(BROKEN, BROKEN)).verdict

    assert verdict is not None
    assert len(verdict.reasons) == 3


def test_a_worse_version_does_not_replace_the_live_one(services: Services) -> None:
    run(services)
    recipe = Recipe(hidden_sizes=(), target_error=None)
    job = run(services, recipe)

    assert (job.version, job.promoted) == (2, False)
    assert job.verdict is not None
    assert job.verdict.live_accuracy == 1.0
    assert services.repository.live_number() == 1


def test_a_stopping_trainer_releases_the_job(services: Services) -> None:
    answers = iter([False, False, True])
    job = run(services, should_stop=lambda: next(answers))

    assert (job.state, job.attempt, job.progress) == ("queued", 0, None)
    assert services.repository.versions() == []


def test_a_cancelled_job_publishes_nothing(services: Services) -> None:
    lease = lease_on(services, JobSpec(RECIPE))
    queue.cancel(services.engine, 1)

    def stop() -> bool:
        raise AssertionError("the training must not begin")

    run_job(services, lease, stop)

    assert queue.get(services.engine, 1).state == "cancelled"
    assert services.repository.versions() == []


def test_a_cancellation_during_the_last_pass_cancels_the_job(services: Services) -> None:
    calls = iter(range(1, 1000))

    def cancel_in_pass_60() -> bool:
        if next(calls) == 60:
            queue.cancel(services.engine, 1)
        return False

    job = run(services, should_stop=cancel_in_pass_60)

    assert (job.state, job.version) == ("cancelled", None)
    assert services.repository.versions() == []


def test_a_cancellation_after_the_publication_is_ignored(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_publication(monkeypatch, lambda: queue.cancel(services.engine, 1))
    job = run(services)

    assert (job.state, job.promoted, job.cancel_requested) == ("succeeded", True, True)


def after_publication(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    def acting(method: Callable[..., Any]) -> Callable[..., Any]:
        def publish_and_act(*arguments: Any) -> Any:
            version = method(*arguments)
            act()
            return version

        return publish_and_act

    monkeypatch.setattr(ModelRepository, "publish", acting(ModelRepository.publish))
    monkeypatch.setattr(SharedRepository, "draft", acting(SharedRepository.draft))


def test_a_ledger_of_one_outcome_fails_the_job(services: Services) -> None:
    for number in (1, 2):
        withdraw(services.engine, number)
    job = run(services)

    assert (job.state, job.version) == ("failed", None)
    assert job.error
    assert services.repository.versions() == []


def test_a_training_that_diverges_fails_the_job(services: Services) -> None:
    job = run(services, Recipe(hidden_sizes=(), alpha=50, iterations=2000, restarts=0))

    assert job.state == "failed"
    assert job.error is not None
    assert "alpha" in job.error


@pytest.mark.embedded
def test_a_version_that_cannot_be_written_fails_the_job(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ModelRepository, "publish", disk_full)
    job = run(services)

    assert job.state == "failed"
    assert job.error is not None
    assert "No space left" in job.error


@pytest.fixture
def seconds_per_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets by how many seconds each read advances the clock of the job runner."""

    def tick(step: float) -> None:
        times = iter(range(1_000_000))
        clock = SimpleNamespace(monotonic=lambda: 1000 + step * next(times))
        monkeypatch.setattr(job_runner, "time", clock)

    return tick


@pytest.mark.parametrize(("limit", "state"), [(60, "succeeded"), (59, "failed")])
def test_a_training_longer_than_the_limit_fails_the_job(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    seconds_per_pass: Callable[[float], None],
    limit: int,
    state: str,
) -> None:
    monkeypatch.setattr(job_runner, "MAX_TRAINING_SECONDS", limit)
    seconds_per_pass(1)

    assert run(services).state == state


@pytest.mark.parametrize(
    ("step", "passes"),
    [(0.125, [*range(2, 61, 2), 60]), (0.25, [*range(1, 61), 60]), (0.001, [60])],
)
def test_heartbeats_are_sent_at_intervals(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    seconds_per_pass: Callable[[float], None],
    step: float,
    passes: list[int],
) -> None:
    sent: list[JobProgress | None] = []
    monkeypatch.setattr(Lease, "heartbeat", lambda _, progress=None: sent.append(progress))
    monkeypatch.setattr(job_runner, "HEARTBEAT_INTERVAL", 0.25)
    seconds_per_pass(step)
    run(services)

    assert sent[0] is None  # before the training
    assert [progress.iteration for progress in sent[1:] if progress] == passes


def test_the_lease_is_renewed_while_the_ledger_is_read(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page takes longer than the lease."""
    monkeypatch.setattr(training_set, "PAGE_SIZE", 1)
    lease = lease_on(services, JobSpec(RECIPE))
    pages = 0

    def expire() -> bool:
        nonlocal pages
        pages += 1
        assert owner(services) == ("a", "running")
        assert acquire_lease(services.engine, "b", 60) is None
        with write_transaction(services.engine) as connection:
            connection.execute(update(jobs).values(lease_until=0))
        return pages == 4

    run_job(services, lease, expire)

    assert queue.get(services.engine, 1).state == "queued"


def test_the_lease_is_renewed_while_a_version_is_judged(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and under the lock, and after each of the four steps.

    Under the lock of the versions of many hosts, nothing is judged.
    """
    run(services)
    renewed = 0
    renew = Lease.renew

    def count(lease: Lease) -> None:
        nonlocal renewed
        renewed += 1
        renew(lease)

    monkeypatch.setattr(Lease, "renew", count)
    job = run(services)

    assert (job.state, job.attempt) == ("succeeded", 1)
    assert renewed == (1 if services.shared else 2) + 4


def test_a_lease_lost_in_training_publishes_nothing(services: Services) -> None:
    calls = iter(range(1, 1000))

    def lose_in_pass_60() -> bool:
        if next(calls) == 60:
            take_over(services)
        return False

    run(services, should_stop=lose_in_pass_60)

    assert owner(services) == ("b", "running")
    assert services.repository.versions() == []


@pytest.mark.embedded
def test_a_lease_lost_after_the_publication_promotes_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_publication(monkeypatch, lambda: take_over(services))
    run(services)

    assert owner(services) == ("b", "running")
    assert services.repository.versions() == [1]
    assert services.repository.live_number() is None


@pytest.mark.embedded
def test_a_job_is_marked_succeeded_under_the_promotion_lock(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    lock, succeed, renew = ModelRepository.lock, Lease.mark_succeeded, Lease.renew
    append = services.repository._promotions.append

    @contextmanager
    def recording_lock(repository: ModelRepository, name: str) -> Iterator[None]:
        with lock(repository, name):
            order.append(f"lock {name}")
            yield
            order.append(f"unlock {name}")

    def recording(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            order.append(name)
            return function(*arguments)

        return record

    monkeypatch.setattr(ModelRepository, "lock", recording_lock)
    monkeypatch.setattr(Lease, "renew", recording("renew", renew))
    monkeypatch.setattr(Lease, "mark_succeeded", recording("succeed", succeed))
    monkeypatch.setattr(services.repository._promotions, "append", recording("promote", append))
    run(services)

    assert order == [
        *("lock publish", "unlock publish"),
        *("renew", "lock promote", "renew", "renew", "promote", "succeed", "unlock promote"),
    ]


@pytest.mark.parametrize("attempt", [2, MAX_ATTEMPTS, MAX_ATTEMPTS + 1])
def test_a_version_of_an_earlier_attempt_is_not_trained_again(
    services: Services, attempt: int
) -> None:
    for number in (None, 1, 2):
        publish(services, number)
    services.repository.path(3).write_bytes(b"damaged")
    job = run(services, attempt=attempt)

    assert (job.state, job.version, job.promoted) == ("succeeded", 2, True)
    assert services.repository.versions() == [1, 2, 3]


@pytest.mark.embedded
def test_the_lease_is_renewed_while_a_version_of_an_earlier_attempt_is_looked_for(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "HEARTBEAT_INTERVAL", 0)
    for _ in range(3):
        publish(services, None)
    load = ModelRepository.load

    def load_after_the_lease_was_lost(repository: ModelRepository, number: int) -> Version:
        if number == 3:
            take_over(services)
        return load(repository, number)

    monkeypatch.setattr(ModelRepository, "load", load_after_the_lease_was_lost)
    monkeypatch.setattr(job_runner, "load_training_set", None)  # not called any more
    run(services, attempt=2)

    assert owner(services) == ("b", "running")


@pytest.mark.embedded
def test_a_trainer_that_stops_while_it_looks_for_a_version_releases_the_job(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(services, None)
    monkeypatch.setattr(job_runner, "load_training_set", None)
    job = run(services, attempt=2, should_stop=lambda: True)

    assert (job.state, job.attempt) == ("queued", 1)


@pytest.mark.embedded
def test_the_first_attempt_ignores_existing_versions(services: Services) -> None:
    """A new database beside existing versions assigns the same job ids again."""
    publish(services, 1)

    assert run(services).version == 2


def test_the_attempt_after_the_last_does_not_train(services: Services) -> None:
    assert run(services, attempt=MAX_ATTEMPTS).version == 1

    job = run(services, attempt=MAX_ATTEMPTS + 1)

    assert (job.state, job.version) == ("failed", None)
    assert job.error
    assert services.repository.versions() == [1]


def test_a_promotion_by_an_earlier_attempt_keeps_its_verdict(services: Services) -> None:
    result = training(1.0, 1.0, 1.0)
    services.repository.publish(result, LAB, Provenance("test"))
    services.repository.promote(1)
    publish(services, 1)
    services.repository.promote(2, "job 1")
    job = run(services, attempt=2)

    assert (job.state, job.version, job.promoted) == ("succeeded", 2, True)
    assert job.verdict is not None
    assert (job.verdict.against, job.verdict.live_accuracy) == (1, result.accuracy)
    assert len(job.verdict.changes) > 0
    assert len(services.repository.promotions()) == 2


@pytest.mark.embedded
@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_promotion_by_an_earlier_attempt_over_an_unreadable_version_is_kept(
    services: Services, content: bytes | None
) -> None:
    for number in (None, 1):
        services.repository.promote(publish(services, number).number)
    services.repository.path(1).unlink()
    if content:
        services.repository.path(1).write_bytes(content)
    job = run(services, attempt=2)

    assert (job.state, job.version, job.promoted) == ("succeeded", 2, True)
    assert job.verdict is not None
    assert job.verdict.against is None


def test_a_cancellation_after_a_publication_by_an_earlier_attempt_is_ignored(
    services: Services,
) -> None:
    publish(services, 1)
    lease = lease_on(services, JobSpec(RECIPE), 2)
    queue.cancel(services.engine, 1)
    run_job(services, lease, never_stop)

    job = queue.get(services.engine, 1)
    assert (job.state, job.version, job.promoted) == ("succeeded", 1, True)


@pytest.mark.embedded
def test_a_published_version_that_was_removed_fails_the_job(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_publication(monkeypatch, lambda: services.repository.path(1).unlink())
    job = run(services)

    assert (job.state, job.version) == ("failed", None)
    assert job.error == "no version 1; there are no versions yet"


def test_a_forced_promotion_by_an_earlier_attempt_stays_forced(services: Services) -> None:
    publish(services, 1)
    services.repository.promote(1, "job 1, forced")
    job = run(services, attempt=2, promote="always", must_hold=(BROKEN,))

    assert job.verdict is not None
    assert (job.promoted, job.verdict.passed, job.verdict.forced) == (True, False, True)
    # No version was live before, so it isn't compared with itself.
    assert job.verdict.against is None


def test_a_version_rolled_back_since_is_not_promoted_again(services: Services) -> None:
    for number in (None, 1):
        services.repository.promote(publish(services, number).number)
    services.repository.rollback()
    job = run(services, attempt=2)

    assert (job.version, job.promoted) == (2, True)
    assert services.repository.live_number() == 1


def progress(iteration: int, restart: int = 0) -> Progress:
    return Progress(restart, 5 + restart, iteration, 1 / iteration)


def test_a_new_curve_has_no_progress() -> None:
    assert ErrorCurve().progress is None


def test_a_curve_is_thinned_when_it_is_full() -> None:
    curve = ErrorCurve()
    for iteration in range(1, MAX_CURVE_POINTS):
        curve.add(progress(iteration))
    assert curve.points == [(i, 1 / i) for i in range(1, MAX_CURVE_POINTS)]

    curve.add(progress(MAX_CURVE_POINTS))
    assert [i for i, _ in curve.points] == list(range(1, MAX_CURVE_POINTS, 2))

    for iteration in range(MAX_CURVE_POINTS + 1, 1000):
        curve.add(progress(iteration))
        assert len(curve.points) < MAX_CURVE_POINTS
    assert [i for i, _ in curve.points] == list(range(1, 1000, 16))

    last = curve.progress
    assert last is not None
    assert (last.restart, last.seed, last.iteration, last.error) == (0, 5, 999, 1 / 999)
    assert last.curve == [*curve.points, (999, 1 / 999)]


def test_the_curve_contains_the_last_point_once() -> None:
    curve = ErrorCurve()
    curve.add(progress(1))

    last = curve.progress
    assert last is not None
    assert last.curve == [(1, 1.0)]
    curve.add(progress(2))
    assert last.curve == [(1, 1.0)]


def test_a_new_run_starts_a_new_curve() -> None:
    curve = ErrorCurve()
    for iteration in range(1, 300):
        curve.add(progress(iteration))
    for iteration in (1, 2):
        curve.add(progress(iteration, restart=1))

    last = curve.progress
    assert last is not None
    assert (last.restart, last.seed, last.curve) == (1, 6, [(1, 1.0), (2, 0.5)])


@pytest.mark.parametrize("outcome", [0.0, 1.0])
@pytest.mark.parametrize("count", [1_000, 1_000_000])
def test_rare_states_are_learnt_beside_a_frequent_one(count: int, outcome: float) -> None:
    dataset = Dataset(
        np.vstack([LAB.lights, [0.0, 1.0, 0.0]]),
        np.append(LAB.walk_vs_stop, outcome),
        np.array([1, 1, 1, 1, count]),
    )

    training = fit(dataset, DEFAULT_RECIPE)

    assert training.converged
    assert np.abs(training.network.scores(dataset.lights) - dataset.walk_vs_stop).max() < 0.1
