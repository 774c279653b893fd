"""Tests of jobs that run while the database fails for a short or a long time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from streetlight.model.recipe import Recipe
from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.promotion_log import PromotionLog
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.learning import job_runner, queue
from streetlight.service.learning.job import Job, JobSpec
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import Lease, acquire_lease
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store import engine as engine_module
from streetlight.service.wiring import Services
from tests import databases
from tests.server import DEADLINE
from tests.service.conftest import until
from tests.service.services import services_in

OUTAGE_SECONDS = 0.5


@pytest.fixture
def services(
    tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    """Services that don't wait for the lock of SQLite."""
    monkeypatch.setattr(engine_module, "LOCK_TIMEOUT", 0)
    with services_in(tmp_path, database_url) as services:
        yield services


@contextmanager
def outages(services: Services) -> Iterator[Callable[[], None]]:
    """Yield a function that begins an outage, which ends by itself."""
    threads: list[threading.Thread] = []

    def begin() -> None:
        begun = threading.Event()

        def fail() -> None:
            with databases.outage(services.settings.database):
                begun.set()
                threading.Event().wait(OUTAGE_SECONDS)

        threads.append(threading.Thread(target=fail))
        threads[-1].start()
        assert begun.wait(DEADLINE)

    yield begin
    for thread in threads:
        thread.join(DEADLINE)


def run(services: Services, lease: Lease, should_stop: Callable[[], bool] = lambda: False) -> Job:
    run_job(services, lease, should_stop)
    return queue.get(services.engine, lease.job.id)


def lease(services: Services, duration: float = DEADLINE) -> Lease:
    queue.submit(services.engine, JobSpec(Recipe()), None)
    lease = acquire_lease(services.engine, "a", duration)
    assert lease is not None
    return lease


@pytest.mark.parametrize("moment", ["start", "pass", "publication", "promotion"])
def test_an_outage_shorter_than_the_lease_costs_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    passes = iter(range(1, 1000))
    monkeypatch.setattr(job_runner, "HEARTBEAT_INTERVAL", 0)
    held = lease(services)
    with outages(services) as begin:

        def begin_after(owner: object, name: str) -> None:
            method = getattr(owner, name)

            def call_and_begin(*arguments: object, **keywords: object) -> object:
                monkeypatch.setattr(owner, name, method)
                result = method(*arguments, **keywords)
                begin()
                return result

            monkeypatch.setattr(owner, name, call_and_begin)

        if moment == "start":
            begin()
        elif moment == "publication":
            begin_after(ModelRepository, "publish")
            begin_after(SharedRepository, "draft")
        elif moment == "promotion":
            begin_after(PromotionLog, "append")
            begin_after(rows, "insert_promotion")
        job = run(services, held, lambda: next(passes) == 30 and moment == "pass" and bool(begin()))

    assert (job.state, job.attempt, job.version, job.promoted) == ("succeeded", 1, 1, True)
    assert job.verdict is not None
    assert (job.verdict.passed, job.verdict.against) == (True, None)
    assert services.repository.versions() == [1]
    assert len(services.repository.promotions()) == 1


def test_a_failed_job_is_stored_after_an_outage(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outages(services) as begin:

        def disk_full(*_arguments: object) -> None:
            begin()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(ModelRepository, "publish", disk_full)
        monkeypatch.setattr(SharedRepository, "draft", disk_full)
        assert run(services, lease(services)).state == "failed"


def test_an_outage_longer_than_the_lease_leaves_the_job_to_the_next_attempt(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job_runner, "HEARTBEAT_INTERVAL", 0)
    held = lease(services, duration=0.1)
    with databases.outage(services.settings.database), pytest.raises(DBAPIError):
        run_job(services, held, lambda: False)
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.getMessage().startswith("job 1: the database can't be used: ")
    assert warning.exc_info is None

    second = acquire_lease(services.engine, "b", DEADLINE)
    assert second is not None
    assert (second.job.id, second.job.attempt) == (1, 2)
    assert run(services, second).state == "succeeded"


def test_a_stopping_trainer_does_not_wait_for_the_database(services: Services) -> None:
    held = lease(services)
    with databases.outage(services.settings.database), pytest.raises(DBAPIError):
        run_job(services, held, lambda: True)


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["publish", "promote"])
def test_a_lock_that_is_held_for_long_leaves_the_job_to_the_next_attempt(
    services: Services, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    held, lock = lease(services, duration=0.3), ModelRepository.lock
    with lock(services.repository, name):
        monkeypatch.setattr(ModelRepository, "lock", partialmethod(lock, timeout=0.1))
        with pytest.raises(LockedError):
            run_job(services, held, lambda: False)
    assert queue.get(services.engine, 1).state == "running"
    assert services.repository.versions() == ([1] if name == "promote" else [])

    second = until(lambda: acquire_lease(services.engine, "b", DEADLINE))
    job = run(services, second)
    assert (job.state, job.attempt, job.version, job.promoted) == ("succeeded", 2, 1, True)
