"""Tests of the lease: acquisition, heartbeats, results, and fencing of lost leases."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, Row, select, update

from streetlight.model.recipe import Recipe
from streetlight.service.learning import queue
from streetlight.service.learning.gate import Verdict
from streetlight.service.learning.job import JobProgress, JobSpec
from streetlight.service.learning.lease import (
    MAX_ATTEMPTS,
    CancelledError,
    Lease,
    LeaseLostError,
    acquire_lease,
)
from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.tables import jobs

SPEC = JobSpec(Recipe())
PROGRESS = JobProgress(restart=0, seed=1, iteration=2, error=0.5, curve=[(1, 1.0), (2, 0.5)])
VERDICT = Verdict(True, False, [], None, 1.0, None)
# The duration of a lease that has already expired when it is acquired.
EXPIRED = -60.0


def stored(engine: Engine, number: int = 1) -> Row[Any]:
    with engine.connect() as connection:
        return connection.execute(select(jobs).where(jobs.c.id == number)).one()


def now(engine: Engine) -> float:
    with engine.connect() as connection:
        return connection.execute(select(clock(engine))).scalar_one()


def acquire(engine: Engine, owner: str = "a", duration: float = 60) -> Lease:
    lease = acquire_lease(engine, owner, duration)
    assert lease is not None
    return lease


def test_the_oldest_queued_job_is_acquired(engine: Engine) -> None:
    assert acquire_lease(engine, "a", 60) is None
    for _ in range(2):
        queue.submit(engine, SPEC, "request")

    lease = acquire(engine)

    assert (lease.job.id, lease.job.state, lease.job.attempt) == (1, "running", 1)
    assert (lease.owner, lease.duration, lease.job.request_id) == ("a", 60, "request")
    row = stored(engine)
    assert (row.state, row.owner, row.attempt, row.revision) == ("running", "a", 1, 1)
    assert row.started_at == pytest.approx(now(engine), abs=10)
    assert row.lease_until == pytest.approx(row.started_at + 60, abs=0.1)
    assert stored(engine, 2).state == "queued"
    assert acquire(engine).job.id == 2
    assert acquire_lease(engine, "a", 60) is None


def test_another_trainer_acquires_an_expired_lease(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    acquire(engine, "a", EXPIRED).heartbeat(PROGRESS)
    queue.submit(engine, SPEC, None)

    job = acquire(engine, "b").job

    assert (job.id, job.attempt, job.progress) == (1, 2, None)
    row = stored(engine)
    assert (row.owner, row.revision) == ("b", 3)
    assert row.lease_until > now(engine)
    assert acquire(engine, "a").job.id == 2


@pytest.mark.parametrize(("set_back", "expired"), [(3600, True), (130, True), (30, False)])
def test_a_lease_expires_although_the_clock_was_set_back(
    engine: Engine, set_back: float, expired: bool
) -> None:
    """Setting the clock back is like moving the stored times forward."""
    queue.submit(engine, SPEC, None)
    acquire(engine, "a", 60)
    with write_transaction(engine) as connection:
        connection.execute(update(jobs).values(lease_until=jobs.c.lease_until + set_back))

    lease = acquire_lease(engine, "b", 60)

    assert (lease is not None) == expired
    if lease:
        assert lease.job.attempt == 2
        assert stored(engine).lease_until == pytest.approx(now(engine) + 60, abs=10)


def test_a_heartbeat_renews_the_lease_and_stores_the_progress(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    lease = replace(acquire(engine, duration=EXPIRED), duration=60)

    lease.heartbeat()
    assert stored(engine).lease_until == pytest.approx(now(engine) + 60, abs=10)
    assert (stored(engine).revision, stored(engine).progress) == (1, None)

    lease.heartbeat(PROGRESS)
    job = queue.get(engine, 1)
    assert job.progress is not None
    assert replace(job.progress, curve=[(i, error) for i, error in job.progress.curve]) == PROGRESS
    assert job.revision == 2

    lease.heartbeat()
    assert queue.get(engine, 1) == job


def test_renewal_renews_the_lease_and_nothing_else(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    lease = acquire(engine, duration=EXPIRED)
    before = dict(stored(engine)._mapping)

    replace(lease, duration=60).renew()

    after = dict(stored(engine)._mapping)
    assert after.pop("lease_until") == pytest.approx(now(engine) + 60, abs=10)
    del before["lease_until"]
    assert after == before


def test_only_a_heartbeat_raises_a_requested_cancellation(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    lease = replace(acquire(engine, duration=EXPIRED), duration=60)
    queue.cancel(engine, 1)

    with pytest.raises(CancelledError):
        lease.heartbeat()
    assert stored(engine).lease_until > now(engine)

    lease.renew()
    lease.mark_cancelled()
    assert stored(engine).state == "cancelled"


def succeed(lease: Lease) -> None:
    lease.mark_succeeded(7, True, VERDICT)


def fail(lease: Lease) -> None:
    lease.mark_failed("no data")


def test_a_succeeded_job_has_a_version_and_a_verdict(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    succeed(acquire(engine))

    job = queue.get(engine, 1)
    assert (job.state, job.version, job.promoted, job.error) == ("succeeded", 7, True, None)
    assert (job.verdict, job.revision) == (VERDICT, 2)
    check_ended(engine)


def test_a_failed_job_has_an_error(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    fail(acquire(engine))

    job = queue.get(engine, 1)
    assert (job.state, job.error, job.version, job.revision) == ("failed", "no data", None, 2)
    check_ended(engine)


def test_a_cancelled_job_has_ended(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    acquire(engine).mark_cancelled()

    job = queue.get(engine, 1)
    assert (job.state, job.version, job.error, job.revision) == ("cancelled", None, None, 2)
    check_ended(engine)


def check_ended(engine: Engine) -> None:
    row = stored(engine)
    assert row.finished_at == pytest.approx(now(engine), abs=10)
    assert row.lease_until is None
    assert acquire_lease(engine, "a", 60) is None


def test_a_released_job_is_queued_and_its_attempt_is_not_counted(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    lease = acquire(engine)
    lease.heartbeat(PROGRESS)

    lease.release()

    row = stored(engine)
    assert (row.state, row.owner, row.lease_until) == ("queued", None, None)
    assert (row.progress, row.attempt, row.revision) == (None, 0, 3)
    assert acquire(engine, "b").job.attempt == 1


WRITES: list[Callable[[Lease], None]] = [
    Lease.heartbeat,
    lambda lease: lease.heartbeat(PROGRESS),
    Lease.renew,
    succeed,
    fail,
    Lease.mark_cancelled,
    Lease.release,
]


def expire_and_acquire_again(engine: Engine, lease: Lease) -> None:
    """Change the attempt but not the owner."""
    assert acquire(engine, lease.owner).job.attempt == lease.job.attempt + 1


def release_and_acquire_elsewhere(engine: Engine, lease: Lease) -> None:
    """Change the owner but not the attempt."""
    lease.release()
    assert acquire(engine, "b").job.attempt == lease.job.attempt


def end(_engine: Engine, lease: Lease) -> None:
    """Change neither the owner nor the attempt."""
    lease.mark_failed("other")


def release(_engine: Engine, lease: Lease) -> None:
    lease.release()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "lose", [expire_and_acquire_again, release_and_acquire_elsewhere, end, release]
)
def test_a_lost_lease_changes_nothing(
    engine: Engine, lose: Callable[[Engine, Lease], None], write: Callable[[Lease], None]
) -> None:
    queue.submit(engine, SPEC, None)
    lease = acquire(engine, "a", EXPIRED)
    lose(engine, lease)
    before = stored(engine)

    with pytest.raises(LeaseLostError):
        write(lease)

    assert stored(engine) == before


@pytest.mark.parametrize("write", WRITES)
def test_a_lease_changes_no_other_job_of_its_owner(
    engine: Engine, write: Callable[[Lease], None]
) -> None:
    for _ in range(2):
        queue.submit(engine, SPEC, None)
    acquire(engine)
    other = stored(engine)

    write(acquire(engine))

    assert stored(engine) == other


def test_a_job_is_failed_when_the_lease_after_the_last_attempt_expires(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    for attempt in range(1, MAX_ATTEMPTS + 2):
        assert acquire(engine, "a", EXPIRED).job.attempt == attempt
    revision = stored(engine).revision
    queue.submit(engine, SPEC, None)

    assert acquire(engine, "a").job.id == 2

    job = queue.get(engine, 1)
    assert (job.state, job.attempt, job.revision) == ("failed", MAX_ATTEMPTS + 1, revision + 1)
    assert job.error
    assert stored(engine).finished_at == pytest.approx(now(engine), abs=10)
    assert stored(engine).lease_until is None


def test_the_attempt_after_the_last_is_not_failed_before_its_lease_expires(engine: Engine) -> None:
    queue.submit(engine, SPEC, None)
    for _ in range(MAX_ATTEMPTS):
        acquire(engine, "a", EXPIRED)
    acquire(engine, "a")
    queue.submit(engine, SPEC, None)

    assert acquire(engine, "a").job.id == 2
    assert stored(engine).state == "running"
