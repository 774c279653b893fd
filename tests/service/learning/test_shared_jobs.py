"""Tests of the end of a job where hosts share the versions: one commit, or nothing."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update
from sqlalchemy.exc import OperationalError

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.service.learning import queue
from streetlight.service.learning.job import Job, JobSpec
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import Lease, acquire_lease
from streetlight.service.learning.training_data import LEDGER, JobData, data_of
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store import postgresql
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import jobs
from streetlight.service.wiring import Services
from tests.client import App
from tests.service.conftest import Site, until
from tests.service.services import services_in, training


@pytest.fixture
def services(tmp_path: Path, shared_url: str) -> Iterator[Services]:
    with services_in(tmp_path, shared_url) as services:
        yield services


def lease(services: Services, owner: str = "a", **spec: Any) -> Lease:
    queue.submit(services.engine, JobSpec(Recipe(), **spec), None)
    return until(lambda: acquire_lease(services.engine, owner, 60))


def run(services: Services, held: Lease) -> Job:
    run_job(services, held, lambda: False)
    return queue.get(services.engine, held.job.id)


def take_over(services: Services) -> None:
    """Expire the lease of the running job, and acquire the job for another trainer."""
    with write_transaction(services.engine) as connection:
        connection.execute(update(jobs).values(lease_until=0))
    assert acquire_lease(services.engine, "b", 60) is not None


def promote_another(services: Services) -> None:
    repository = services.repository
    repository.promote(repository.publish(training(1, 1, 1), LAB, Provenance("test")).number)


def at_the_commit(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[], object], after: Callable[[], object]
) -> None:
    """Act before or after the first transaction that changes versions."""
    transaction = SharedRepository.transaction

    @contextmanager
    def acting(repository: SharedRepository) -> Iterator[Connection]:
        monkeypatch.setattr(SharedRepository, "transaction", transaction)
        before()
        with transaction(repository) as connection:
            yield connection
        after()

    monkeypatch.setattr(SharedRepository, "transaction", acting)


def nothing() -> None:
    """Do nothing."""


def test_a_lease_lost_before_the_commit_publishes_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_commit(monkeypatch, lambda: take_over(services), nothing)
    job = run(services, lease(services))

    assert (job.state, job.version, job.attempt) == ("running", None, 2)
    services.repository.follow()
    assert services.repository.newest_number() == 0
    assert services.repository.promotions() == []


def test_a_commit_that_seemed_to_fail_is_not_repeated(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_answer() -> None:
        raise OperationalError("COMMIT", {}, Exception("connection lost"))

    at_the_commit(monkeypatch, nothing, lose_the_answer)
    job = run(services, lease(services))

    assert (job.state, job.version, job.promoted) == ("succeeded", 1, True)
    services.repository.follow()
    assert services.repository.versions() == [1]
    assert len(services.repository.promotions()) == 1


def test_a_version_is_judged_again_if_another_goes_live_meanwhile(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_commit(monkeypatch, lambda: promote_another(services), nothing)
    job = run(services, lease(services))

    assert (job.version, job.promoted) == (2, True)
    assert job.verdict is not None
    assert job.verdict.against == 1
    assert services.repository.promotions()[-1].instead_of == 1
    assert services.repository.load(2).number == 2  # the number in the file, too


@pytest.mark.parametrize("data", [LEDGER, data_of(LAB, "four")], ids=["ledger", "dataset"])
def test_a_job_is_judged_against_the_live_version_although_the_copy_is_damaged(
    services: Services, tmp_path: Path, shared_url: str, data: JobData
) -> None:
    assert run(services, lease(services)).promoted
    services.repository.path(1).write_bytes(b"damaged")
    with services_in(tmp_path, shared_url) as restarted:
        job = run(restarted, lease(restarted, data=data, promote="not_worse"))

    assert job.verdict is not None
    assert job.verdict.against == 1
    assert job.verdict.why_no_exam != "no version is live"


def test_a_cancellation_after_the_training_is_ignored(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_commit(monkeypatch, lambda: queue.cancel(services.engine, 1), nothing)
    job = run(services, lease(services))

    assert (job.state, job.version, job.promoted) == ("succeeded", 1, True)


def test_trainers_that_finish_together_leave_no_gap(
    services: Services, tmp_path: Path, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four hosts judge their versions against none, and meet at the commit."""
    barrier, draft = threading.Barrier(4, timeout=30), SharedRepository.draft

    def draft_together(*arguments: Any) -> Any:
        found = draft(*arguments)
        barrier.wait()
        return found

    monkeypatch.setattr(SharedRepository, "draft", draft_together)
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(services_in(tmp_path / f"host{i}", shared_url)) for i in range(4)
        ]
        leases = [lease(host, f"trainer{i}", promote="always") for i, host in enumerate(hosts)]
        with ThreadPoolExecutor(4) as threads:
            ended = list(threads.map(run, hosts, leases))

    assert sorted(job.version or 0 for job in ended) == [1, 2, 3, 4]
    repository = services.repository
    repository.follow()
    log = repository.promotions()
    assert [(p.version, p.instead_of) for p in log] == [(1, None), (2, 1), (3, 2), (4, 3)]
    for job in ended:
        assert job.verdict is not None
        assert job.version is not None
        assert job.verdict.against == log[job.version - 1].instead_of
        assert repository.load(job.version).manifest.job == job.id


def test_a_lock_that_is_held_for_long_leaves_the_job_to_the_next_attempt(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = services.repository
    assert isinstance(repository, SharedRepository)
    held = lease(services)
    with repository.transaction(), monkeypatch.context() as patch:
        patch.setitem(postgresql.TIMEOUTS, "lock_timeout", 0.1)
        short = Lease(held.engine, held.job, held.owner, 0.3)
        with pytest.raises(OperationalError, match="lock timeout"):
            run_job(services, short, lambda: False)
    assert repository.newest_number() == 0
    second = until(lambda: acquire_lease(services.engine, "b", 60))
    job = run(services, second)
    assert (job.state, job.attempt, job.version, job.promoted) == ("succeeded", 2, 1, True)


def test_a_client_that_learns_of_the_end_of_a_job_finds_its_version(
    tmp_path: Path, shared_url: str
) -> None:
    """On another host than that of the trainer, without a follower there."""
    with (
        App(tmp_path / "a", database_url=shared_url) as trainer,
        App(tmp_path / "b", database_url=shared_url) as host,
    ):
        for number, path in enumerate(("/jobs/1", "/jobs"), 2):
            trainer.expect(202, "POST", "/retrain", {"promote": "always"})
            trainer.work()
            job = host.get(path)
            job = job["jobs"][0] if path == "/jobs" else job
            assert (job["state"], job["version"]) == ("succeeded", number)
            assert host.post("/predict", {"lights": [1, 0, 1]})["version"] == number
            assert host.get("/versions")["live"] == number


EXIT = """
import os
from sqlalchemy.engine import Connection
from streetlight.service.learning.lease import Lease
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import SharedRepository

def exit(*arguments):
    os._exit(9)

def exit_after(owner, name):
    method = getattr(owner, name)
    def call_and_exit(*arguments, **keywords):
        method(*arguments, **keywords)
        exit()
    setattr(owner, name, call_and_exit)

"""


@pytest.mark.process
@pytest.mark.storm
def test_a_trainer_that_ends_at_any_point_publishes_one_version_or_none(
    tmp_path: Path, shared_url: str
) -> None:
    """A kill is as the exit: the transaction is cut off."""
    with Site(tmp_path, shared_url) as site:
        for number, (point, committed) in enumerate(
            [
                ("exit_after(SharedRepository, 'draft')", False),
                ("exit_after(Lease, 'mark_succeeded')", False),
                ("exit_after(SharedRepository, 'insert')", False),
                ("exit_after(rows, 'insert_promotion')", False),
                ("SharedRepository.try_to_follow = exit", True),
            ],
            start=1,
        ):
            assert site.retrain(promote="always") == number
            assert site.trainer(EXIT + point).process.wait(30) == 9
            repository = site.repository
            assert repository.versions() == [*range(1, number + 1 + committed)]
            assert site.job(number)["state"] == ("succeeded" if committed else "running")
            if not committed:
                successor = site.trainer()
                assert site.wait_until_finished(number)["version"] == number + 1
                successor.kill()
        log = site.repository.promotions()
        assert [(p.version, p.instead_of) for p in log] == [
            (number, number - 1 or None) for number in range(1, 7)
        ]
        site.check()
