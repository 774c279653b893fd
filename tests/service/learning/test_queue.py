"""Tests of the job queue: submission, cancellation and lists."""

import json
from dataclasses import asdict

import pytest
from sqlalchemy import Engine, update

from streetlight.model.recipe import Recipe
from streetlight.service.learning import queue
from streetlight.service.learning.gate import Verdict
from streetlight.service.learning.job import JobSpec
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.queue import JobFinishedError, JobNotFoundError
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.idempotency import IdempotentRequest, KeyReusedError
from streetlight.service.store.tables import jobs
from streetlight.service.validation.fields import MustHold

SPEC = JobSpec(Recipe())


def test_a_stored_specification_is_read_back() -> None:
    spec = JobSpec(
        Recipe(hidden_sizes=(8, 4), batch_size=None, target_error=None, activation="linear"),
        "never",
        (MustHold((0.0, 0.5), "stop"), MustHold((1.0,), "walk")),
    )

    assert JobSpec.from_json(spec.to_json()) == spec
    assert JobSpec.from_json(SPEC.to_json()) == JobSpec(Recipe(), "not_worse", ())


def test_a_submitted_job_is_queued(engine: Engine) -> None:
    spec = JobSpec(Recipe(seed=9), "always", (MustHold((1.0, 0.0, 1.0), "walk"),))
    job = queue.submit(engine, spec, "request-1")

    assert (job.id, job.state, job.trigger, job.request_id) == (1, "queued", "request", "request-1")
    assert (job.recipe, job.promote, job.must_hold) == (spec.recipe, "always", spec.must_hold)
    assert (job.attempt, job.revision, job.cancel_requested, job.finished) == (0, 0, False, False)
    assert (job.started_at, job.finished_at, job.progress, job.verdict) == (None,) * 4
    assert (job.version, job.promoted, job.error) == (None,) * 3
    assert queue.get(engine, 1) == job
    assert queue.submit(engine, SPEC, None, "accuracy").trigger == "accuracy"


def test_a_repeated_request_returns_the_first_job(engine: Engine) -> None:
    request = IdempotentRequest("retrain", "key", "digest")
    queue.submit(engine, SPEC, None)
    first = queue.submit(engine, SPEC, None, idempotent=request)

    assert first.id == 2
    assert queue.submit(engine, SPEC, None, idempotent=request) == first
    assert len(queue.page(engine, None, 10)[0]) == 2
    with pytest.raises(KeyReusedError):
        queue.submit(engine, SPEC, None, idempotent=IdempotentRequest("retrain", "key", "other"))
    assert len(queue.page(engine, None, 10)[0]) == 2


def test_an_automatic_job_is_submitted_only_if_none_is_unfinished(engine: Engine) -> None:
    job = queue.submit_unless_unfinished(engine, SPEC, "observations", None)
    assert job is not None
    assert (job.id, job.state, job.trigger, job.request_id) == (1, "queued", "observations", None)
    assert queue.submit_unless_unfinished(engine, SPEC, "observations", None) is None

    lease = acquire_lease(engine, "a", 60)
    assert lease is not None
    assert queue.submit_unless_unfinished(engine, SPEC, "observations", None) is None

    lease.mark_failed("over")
    again = queue.submit_unless_unfinished(engine, SPEC, "accuracy", None)
    assert again is not None
    assert (again.id, again.trigger) == (2, "accuracy")


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed", "cancelled"])
def test_a_finished_job_cannot_be_cancelled(engine: Engine, state: str) -> None:
    queue.submit(engine, SPEC, None)
    with write_transaction(engine) as connection:
        connection.execute(update(jobs).values(state=state))

    job = queue.get(engine, 1)

    assert job.finished is (state not in ("queued", "running"))
    if job.finished:
        with pytest.raises(JobFinishedError):
            queue.cancel(engine, 1)
        assert queue.get(engine, 1) == job


def test_a_page_lists_the_newest_jobs_first(engine: Engine) -> None:
    for _ in range(5):
        queue.submit(engine, SPEC, None)

    def ids(after: int | None, limit: int) -> tuple[list[int], int | None]:
        page, next_id = queue.page(engine, after, limit)
        return [job.id for job in page], next_id

    assert ids(None, 10) == ([5, 4, 3, 2, 1], None)
    assert ids(None, 2) == ([5, 4], 4)
    assert ids(4, 2) == ([3, 2], 2)
    assert ids(1, 2) == ([], None)


def test_a_page_ends_early_if_its_jobs_are_large(engine: Engine) -> None:
    for _ in range(3):
        queue.submit(engine, SPEC, None)
    change = {"lights": [0.0] * 64, "was": "walk", "now": "stop", "difference": -0.5}
    verdict = Verdict(passed=True, forced=False, reasons=[], against=1, accuracy=1, live_accuracy=1)
    # As release 0.1.0 stored it: all changes, and not their number.
    stored = asdict(verdict) | {"changes": [change] * 4000}
    del stored["changed"]
    with write_transaction(engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id < 3).values(verdict=json.dumps(stored)))

    [third], after = queue.page(engine, None, 10)
    [second], after = queue.page(engine, after, 10)
    [first], after = queue.page(engine, after, 10)

    assert ([third.id, second.id, first.id], after) == ([3, 2, 1], None)
    assert first.verdict is not None
    assert (first.verdict.changed, len(first.verdict.changes)) == (4000, 100)


def test_a_queued_job_is_cancelled_at_once(engine: Engine) -> None:
    for _ in range(2):
        queue.submit(engine, SPEC, None)

    job = queue.cancel(engine, 2)

    assert (job.id, job.state, job.revision, job.cancel_requested) == (2, "cancelled", 1, False)
    assert job.finished_at == pytest.approx(job.submitted_at, abs=10)
    assert queue.get(engine, 1).state == "queued"
    assert queue.get(engine, 1).revision == 0


def test_cancelling_a_running_job_sets_cancel_requested(engine: Engine) -> None:
    for _ in range(2):
        queue.submit(engine, SPEC, None)
        acquire_lease(engine, "a", 60)

    job = queue.cancel(engine, 2)

    assert (job.id, job.state, job.revision, job.cancel_requested) == (2, "running", 2, True)
    assert job.finished_at is None
    assert queue.get(engine, 1).cancel_requested is False


def test_an_unknown_job_is_not_found(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)

    with pytest.raises(JobNotFoundError):
        queue.get(engine, 2)
    with pytest.raises(JobNotFoundError):
        queue.cancel(engine, 2)


def test_the_last_observation_is_that_of_the_newest_job(engine: Engine) -> None:
    assert queue.last_observation(engine) == 0
    queue.submit(engine, SPEC, None)
    assert queue.last_observation(engine) == 4

    record(engine, [NewObservation((1.0, 0.0, 1.0), "walk")] * 3, None, "api")
    assert queue.last_observation(engine) == 4
    queue.submit(engine, SPEC, None)
    assert queue.last_observation(engine) == 7

    with write_transaction(engine) as connection:
        connection.execute(update(jobs).values(order=SPEC.to_json().replace("last_", "no_")))
    assert queue.last_observation(engine) == 0
