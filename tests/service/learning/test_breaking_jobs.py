"""Tests of trainers that are killed, stopped and terminated: no job is lost or run twice."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from streetlight.service.store.engine import open_engine, write_transaction
from streetlight.service.store.tables import jobs as table
from tests.server import DEADLINE
from tests.service.conftest import ENDLESS, Site, Trainer, until

pytestmark = [pytest.mark.process, pytest.mark.storm]

JOBS = min(100, int(os.environ.get("STORM_ROUNDS", "6")))
EXIT_BEFORE_SUCCESS = (
    "import os\nfrom streetlight.service.learning.lease import Lease\n"
    "Lease.mark_succeeded = lambda *_: os._exit(9)"
)
STOP_IN_TRAINING = """
import os, signal
from streetlight.service.learning import job_runner

def stopping_fit(dataset, recipe, report, fit=job_runner.fit):
    def report_and_stop(progress):
        report(progress)
        if progress.iteration == 10:
            os.kill(os.getpid(), signal.SIGSTOP)
    return fit(dataset, recipe, report_and_stop)

job_runner.fit = stopping_fit
"""
WAITS_FOR_PROMOTE = "waits for the lock promote"
LOG_LOCKS = """
from streetlight.model.registry.repository import ModelRepository

def logging_lock(self, name, lock=ModelRepository.lock):
    print("waits for the lock", name, flush=True)
    return lock(self, name)

ModelRepository.lock = logging_lock
"""
PROMOTE = ("not_worse", "always", "never")
FINISHED = ("succeeded", "failed", "cancelled")


def check_history(site: Site) -> dict[int, Any]:
    """Assert that the data are valid and no version was promoted twice; return the promotions."""
    site.check()
    history = site.repository.promotions()
    assert history[-1].version == site.repository.live_number()
    promotions = {promotion.version: promotion for promotion in history}
    assert len(promotions) == len(history)
    return promotions


def check(site: Site, numbers: list[int]) -> list[Any]:
    """Assert that each job succeeded as it reports, or failed in attempt 4; return the jobs."""
    jobs = site.jobs()
    assert [job["id"] for job in jobs] == numbers
    promotions = check_history(site)
    trained = {number: site.repository.load(number) for number in site.repository.versions()}
    jobs_of_versions = [
        version.manifest.job for version in trained.values() if version.manifest.job
    ]
    assert len(set(jobs_of_versions)) == len(jobs_of_versions), "a job published two versions"
    for job in jobs:
        if job["state"] == "succeeded":
            assert job["promoted"] == (job["version"] in promotions)
            assert job["promoted"] or job["promote"] != "always"
            assert not (job["promoted"] and job["promote"] == "never")
        else:
            assert (job["state"], job["attempt"]) == ("failed", 4)
            assert job["error"].startswith("the trainer stopped sending heartbeats")
    return jobs


def holder(site: Site, trainers: list[Trainer], number: int) -> Trainer | None:
    """Return the trainer that holds a job, if one of `trainers` does."""
    engine = open_engine(site.database)
    query = select(table.c.owner).where(table.c.id == number, table.c.state == "running")
    with engine.connect() as connection:
        owner = connection.execute(query).scalar() or ""
    engine.dispose()
    return next((trainer for trainer in trainers if f":{trainer.process.pid}:" in owner), None)


def abandoned_by(site: Site, trainer: Trainer) -> list[int]:
    """Return the job that a killed trainer still holds, after its last transaction has ended."""
    engine = open_engine(site.database)
    held = table.c.owner.contains(f":{trainer.process.pid}:")
    query = select(table.c.id).where(held, table.c.state == "running").with_for_update()
    with write_transaction(engine) as connection:
        numbers = list(connection.execute(query).scalars())
    engine.dispose()
    return numbers


@pytest.mark.timeout(1200)
def test_killing_trainers_loses_no_job_and_runs_none_twice(
    tmp_path: Path, database_url: str | None
) -> None:
    """The holder of each job is killed at a random time, that of an endless job three times.

    Each version has an exam, which `site.check` repeats.
    """
    generator = random.Random(0)  # noqa: S311 - not for secrets
    with Site(tmp_path, database_url) as site:
        rows = [{"lights": [1, 0, 1], "outcome": "walk"}, {"lights": [0, 0, 1], "outcome": "stop"}]
        site.expect(201, "POST", "/observations", {"observations": rows * 20})
        numbers = [
            site.retrain(iterations=generator.randint(1, 20_000), seed=i, promote=PROMOTE[i % 3])
            for i in range(JOBS)
        ]
        endless = site.retrain(**ENDLESS)
        trainers = [site.trainer() for _ in range(3)]
        kills: Counter[int] = Counter()

        def kill_the_holder_of(number: int) -> None:
            def finished_or_held() -> Trainer | bool | None:
                return site.job(number)["state"] in FINISHED or holder(site, trainers, number)

            victim = until(finished_or_held)
            if not isinstance(victim, Trainer):
                return
            with pytest.raises(subprocess.TimeoutExpired):
                victim.process.wait(generator.uniform(0, 0.3))
            victim.kill()
            kills.update(abandoned_by(site, victim))
            trainers[trainers.index(victim)] = site.trainer()

        for number in (*numbers, endless, endless, endless):
            kill_the_holder_of(number)
        for number in (*numbers, endless):
            site.wait_until_finished(number)
        jobs = check(site, [*numbers, endless])

    assert all(job["attempt"] >= min(4, 1 + kills[job["id"]]) for job in jobs), (kills, jobs)
    assert all(job["verdict"]["unseen"] for job in jobs if job["state"] == "succeeded")
    assert (jobs[-1]["state"], jobs[-1]["attempt"]) == ("failed", 4)


@pytest.mark.embedded
def test_a_job_whose_trainer_is_killed_before_the_promotion_publishes_one_version(
    tmp_path: Path, database_url: str | None
) -> None:
    """The test holds the promotion lock, so that the trainer can publish but not promote."""
    with Site(tmp_path, database_url) as site:
        with site.repository.lock("promote"):
            number = site.retrain(promote="always")
            victim = site.trainer()
            until(lambda: site.repository.versions() == [1, 2])
            victim.kill()
            assert site.job(number)["state"] == "running"
        site.trainer()
        job = site.wait_until_finished(number)

        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        assert (job["version"], job["promoted"]) == (2, True)
        check(site, [number])


def test_a_trainer_stopped_past_its_lease_changes_nothing(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url) as site:
        stopped_trainer = site.trainer(STOP_IN_TRAINING)
        number = site.retrain(promote="always")
        until(lambda: stopped_trainer.stopped)
        assert site.job(number)["state"] == "running"

        site.trainer()
        done = site.wait_until_finished(number)
        assert (done["state"], done["attempt"], done["promoted"]) == ("succeeded", 2, True)
        versions = {path: path.read_bytes() for path in site.repository.folder.glob("[!.]*")}
        stopped_trainer.process.send_signal(signal.SIGCONT)
        until(
            lambda: stopped_trainer.has_logged(
                f"job {number}: it has ended, or another trainer has taken it"
            )
        )

        assert site.job(number) == done
        assert versions == {
            path: path.read_bytes() for path in site.repository.folder.glob("[!.]*")
        }
        assert stopped_trainer.process.poll() is None
        check(site, [number])


def test_a_terminated_trainer_releases_its_job(tmp_path: Path, database_url: str | None) -> None:
    with Site(tmp_path, database_url) as site:
        trainer = site.trainer()
        number = site.retrain(**ENDLESS)
        assert site.wait_for_progress(number)["attempt"] == 1
        trainer.process.terminate()
        assert trainer.process.wait(DEADLINE) == 0

        job = site.job(number)
        assert (job["state"], job["attempt"], job["progress"]) == ("queued", 0, None)
        site.trainer()
        assert site.wait_for_progress(number)["attempt"] == 1


def test_only_queued_and_running_jobs_can_be_cancelled(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url) as site:
        queued, running, short = site.retrain(), site.retrain(**ENDLESS), site.retrain()
        cancelled = site.expect(200, "DELETE", f"/jobs/{queued}")
        assert (cancelled["state"], cancelled["attempt"]) == ("cancelled", 0)

        site.trainer()
        site.wait_for_progress(running)
        assert site.expect(200, "DELETE", f"/jobs/{running}")["cancel_requested"]
        assert site.wait_until_finished(running)["state"] == "cancelled"
        done = site.wait_until_finished(short)
        assert done["state"] == "succeeded"
        for number in (queued, running, short):
            before = site.job(number)
            message = site.expect(409, "DELETE", f"/jobs/{number}")["error"]
            assert message == f"job {number} can't be cancelled: its state is {before['state']}"
            assert site.job(number) == before
        assert site.job(queued) == cancelled
        assert site.repository.versions() == [1, done["version"]]


def test_a_job_cancelled_as_it_finishes_is_cancelled_or_succeeds(
    tmp_path: Path, database_url: str | None
) -> None:
    generator = random.Random(0)  # noqa: S311 - not for secrets
    with Site(tmp_path, database_url) as site:
        site.trainer()
        for i in range(JOBS):
            number = site.retrain(iterations=2_000, seed=i, restarts=0, promote="always")
            site.wait_until_started(number)
            time.sleep(generator.uniform(0, 0.1))
            status = site.request("DELETE", f"/jobs/{number}").status
            job = site.wait_until_finished(number)
            repository = site.repository
            versions = [
                version
                for version in repository.versions()
                if repository.load(version).manifest.job == number
            ]
            if job["state"] == "cancelled":
                assert status == 200
                assert (job["version"], job["promoted"], job["verdict"]) == (None, None, None)
                assert versions == []
            else:
                assert status in (200, 409)
                assert job["state"] == "succeeded"
                assert job["promoted"] is True
                assert versions == [job["version"]] == [site.repository.live_number()]
        check_history(site)


@pytest.mark.embedded
def test_a_job_cancelled_between_publication_and_promotion_succeeds(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, job_lease=60) as site:
        with site.repository.lock("promote"):
            number = site.retrain(promote="always")
            site.trainer()
            until(lambda: site.repository.versions() == [1, 2])
            assert site.expect(200, "DELETE", f"/jobs/{number}")["cancel_requested"]
        job = site.wait_until_finished(number)

        assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, True)
        check(site, [number])


@pytest.mark.parametrize(("exits", "cancel"), [(1, True), (3, False)])
def test_a_job_whose_version_was_promoted_succeeds(
    tmp_path: Path, exits: int, cancel: bool
) -> None:
    """Its trainers exit after the promotion and before they store the result."""
    with Site(tmp_path, None) as site:
        number = site.retrain(iterations=1, restarts=0, promote="always")
        for _ in range(exits):
            assert site.trainer(EXIT_BEFORE_SUCCESS).process.wait(DEADLINE) == 9
        if cancel:
            assert site.expect(200, "DELETE", f"/jobs/{number}")["cancel_requested"]
        assert site.repository.live_number() == 2
        site.trainer()
        job = site.wait_until_finished(number)

        assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, True)
        check(site, [number])


@pytest.mark.embedded
def test_trainers_that_finish_together_promote_in_turn(
    tmp_path: Path, database_url: str | None
) -> None:
    """The test holds the promotion lock until both trainers wait for it."""
    numbers: list[int] = []
    with Site(tmp_path, database_url, job_lease=60) as site:
        trainers = [site.trainer(LOG_LOCKS) for _ in range(2)]

        def both_wait() -> bool:
            return [trainer.log.read_text().count(WAITS_FOR_PROMOTE) for trainer in trainers] == [
                repeat
            ] * 2

        for repeat in range(1, JOBS + 1):
            with site.repository.lock("promote"):
                numbers += [
                    site.retrain(iterations=1, restarts=0, seed=2 * repeat + i, promote="always")
                    for i in range(2)
                ]
                until(both_wait)
            for number in numbers[-2:]:
                site.wait_until_finished(number)
        jobs = check(site, numbers)
        promotions = check_history(site)

        assert len(promotions) == len(jobs) + 1
        for job in jobs:
            assert job["verdict"]["against"] == promotions[job["version"]].instead_of
        for trainer in trainers:
            assert trainer.log.read_text().count("promoted: True") == JOBS
