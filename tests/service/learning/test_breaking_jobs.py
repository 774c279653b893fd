"""Trainers that are killed, stopped, told to end and overtaken: no job is lost or done twice."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from streetlight.service.store.engine import open_engine, write_transaction
from streetlight.service.store.tables import jobs as table
from tests.server import DEADLINE
from tests.service.conftest import ENDLESS, Site, Trainer, until

pytestmark = pytest.mark.storm

JOBS = min(100, int(os.environ.get("STORM_ROUNDS", "6")))
DYING_BEFORE_IT_SAYS_SO = (
    "import os\nfrom streetlight.service.learning.lease import Lease\n"
    "Lease.mark_succeeded = lambda *_: os._exit(9)"
)
STOPPING_AS_IT_TRAINS = """
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
WANTS_TO_PROMOTE = "wants the lock promote"
TELLING_OF_LOCKS = """
from streetlight.model.registry.repository import ModelRepository

def telling_lock(self, name, lock=ModelRepository.lock):
    print("wants the lock", name, flush=True)
    return lock(self, name)

ModelRepository.lock = telling_lock
"""
PROMOTE = ("if_better", "always", "never")
OVER = ("succeeded", "failed", "cancelled")


def check_history(site: Site) -> dict[int, Any]:
    """One chain, in which no version goes live twice; return each version's promotion."""
    history = site.repository.history()
    assert history[0].instead_of is None
    for before, after in pairwise(history):
        assert after.instead_of == before.version
    assert history[-1].version == site.repository.live_number()
    promotions = {promotion.version: promotion for promotion in history}
    assert len(promotions) == len(history)
    return promotions


def check(site: Site, numbers: list[int]) -> list[Any]:
    """Every job has succeeded, and what it says is so, or has lost three trainers; return them."""
    jobs = site.jobs()
    assert [job["id"] for job in jobs] == numbers
    promotions = check_history(site)
    trained = {number: site.repository.load(number) for number in site.repository.versions()}
    makers = [version.manifest.job for version in trained.values() if version.manifest.job]
    assert len(set(makers)) == len(makers), "a job made two versions"
    for job in jobs:
        if job["state"] == "succeeded":
            assert trained[job["version"]].manifest.job == job["id"]
            assert job["promoted"] == (job["version"] in promotions)
            assert job["promoted"] or job["promote"] != "always"
            assert not (job["promoted"] and job["promote"] == "never")
        else:
            assert (job["state"], job["attempt"]) == ("failed", 4)
            assert job["error"].startswith("the trainer stopped sending heartbeats")
    return jobs


def holder(site: Site, crew: list[Trainer], number: int) -> Trainer | None:
    """Return the one of the crew that works on a job, if one does."""
    engine = open_engine(site.database)
    query = select(table.c.owner).where(table.c.id == number, table.c.state == "running")
    with engine.connect() as connection:
        owner = connection.execute(query).scalar() or ""
    engine.dispose()
    return next((one for one in crew if f":{one.process.pid}:" in owner), None)


def abandoned_by(site: Site, trainer: Trainer) -> list[int]:
    """Return the job that a dead trainer still holds, once its last transaction is over."""
    engine = open_engine(site.database)
    held = table.c.owner.contains(f":{trainer.process.pid}:")
    query = select(table.c.id).where(held, table.c.state == "running").with_for_update()
    with write_transaction(engine) as connection:
        numbers = list(connection.execute(query).scalars())
    engine.dispose()
    return numbers


@pytest.mark.timeout(1200)
def test_killing_trainers_at_work_loses_no_job_and_does_none_twice(
    tmp_path: Path, database_url: str | None
) -> None:
    """The holder of each job is killed at a random moment, that of an endless job three times."""
    moments = random.Random(0)  # noqa: S311 - not for secrets
    with Site(tmp_path, database_url) as site:
        numbers = [
            site.retrain(iterations=moments.randint(1, 20_000), seed=i, promote=PROMOTE[i % 3])
            for i in range(JOBS)
        ]
        endless = site.retrain(**ENDLESS)
        crew = [site.trainer() for _ in range(3)]
        deaths: Counter[int] = Counter()

        def kill_the_holder_of(number: int) -> None:
            def over_or_held() -> Trainer | bool | None:
                return site.job(number)["state"] in OVER or holder(site, crew, number)

            victim = until(over_or_held)
            if not isinstance(victim, Trainer):
                return
            with pytest.raises(subprocess.TimeoutExpired):
                victim.process.wait(moments.uniform(0, 0.3))
            victim.kill()
            deaths.update(abandoned_by(site, victim))
            crew[crew.index(victim)] = site.trainer()

        for number in (*numbers, endless, endless, endless):
            kill_the_holder_of(number)
        for number in (*numbers, endless):
            site.ended(number)
        jobs = check(site, [*numbers, endless])

    assert all(job["attempt"] >= min(4, 1 + deaths[job["id"]]) for job in jobs), (deaths, jobs)
    assert (jobs[-1]["state"], jobs[-1]["attempt"]) == ("failed", 4)


def test_a_job_whose_trainer_dies_before_the_promotion_makes_no_second_version(
    tmp_path: Path, database_url: str | None
) -> None:
    """The test holds the promotion lock, so that the trainer can publish and do no more."""
    with Site(tmp_path, database_url) as site:
        with site.repository.lock("promote"):
            number = site.retrain(promote="always")
            victim = site.trainer()
            until(lambda: site.repository.versions() == [1, 2])
            victim.kill()
            assert site.job(number)["state"] == "running"
        site.trainer()
        job = site.ended(number)

        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        assert (job["version"], job["promoted"]) == (2, True)
        check(site, [number])


def test_a_trainer_that_was_stopped_past_its_lease_changes_nothing(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url) as site:
        sleeper = site.trainer(STOPPING_AS_IT_TRAINS)
        number = site.retrain(promote="always")
        until(lambda: sleeper.stopped)
        assert site.job(number)["state"] == "running"

        site.trainer()
        done = site.ended(number)
        assert (done["state"], done["attempt"], done["promoted"]) == ("succeeded", 2, True)
        versions = {path: path.read_bytes() for path in site.repository.folder.glob("[!.]*")}
        sleeper.process.send_signal(signal.SIGCONT)
        until(lambda: sleeper.said(f"job {number} is no longer held by"))

        assert site.job(number) == done
        assert versions == {
            path: path.read_bytes() for path in site.repository.folder.glob("[!.]*")
        }
        assert sleeper.process.poll() is None
        check(site, [number])


def test_a_trainer_told_to_end_hands_its_job_back(tmp_path: Path, database_url: str | None) -> None:
    with Site(tmp_path, database_url) as site:
        trainer = site.trainer()
        number = site.retrain(**ENDLESS)
        assert site.under_way(number)["attempt"] == 1
        trainer.process.terminate()
        assert trainer.process.wait(DEADLINE) == 0

        job = site.job(number)
        assert (job["state"], job["attempt"], job["progress"]) == ("queued", 0, None)
        site.trainer()
        assert site.under_way(number)["attempt"] == 1


def test_a_job_is_cancelled_while_it_waits_and_while_it_runs_but_not_afterwards(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url) as site:
        waiting, running, short = site.retrain(), site.retrain(**ENDLESS), site.retrain()
        cancelled = site.expect(200, "DELETE", f"/jobs/{waiting}")
        assert (cancelled["state"], cancelled["attempt"]) == ("cancelled", 0)

        site.trainer()
        site.under_way(running)
        assert site.expect(200, "DELETE", f"/jobs/{running}")["cancel_requested"]
        assert site.ended(running)["state"] == "cancelled"
        done = site.ended(short)
        assert done["state"] == "succeeded"
        for number in (waiting, running, short):
            before = site.job(number)
            message = site.expect(409, "DELETE", f"/jobs/{number}")["error"]
            assert message == f"job {number} can't be cancelled: its state is {before['state']}"
            assert site.job(number) == before
        assert site.job(waiting) == cancelled
        assert site.repository.versions() == [1, done["version"]]


def test_a_job_cancelled_as_it_finishes_is_either_cancelled_or_done(
    tmp_path: Path, database_url: str | None
) -> None:
    moments = random.Random(0)  # noqa: S311 - not for secrets
    with Site(tmp_path, database_url) as site:
        site.trainer()
        for i in range(JOBS):
            number = site.retrain(iterations=2_000, seed=i, restarts=0, promote="always")
            site.begun(number)
            time.sleep(moments.uniform(0, 0.1))
            status = site.request("DELETE", f"/jobs/{number}").status
            job = site.ended(number)
            made = [
                version
                for version in site.repository.versions()
                if site.repository.load(version).manifest.job == number
            ]
            if job["state"] == "cancelled":
                assert status == 200
                assert (job["version"], job["promoted"], job["verdict"]) == (None, None, None)
                assert made == []
            else:
                assert status in (200, 409)
                assert job["state"] == "succeeded"
                assert job["promoted"] is True
                assert made == [job["version"]] == [site.repository.live_number()]
        check_history(site)


def test_a_job_cancelled_between_its_version_and_its_promotion_is_done(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, job_lease=60) as site:
        with site.repository.lock("promote"):
            number = site.retrain(promote="always")
            site.trainer()
            until(lambda: site.repository.versions() == [1, 2])
            assert site.expect(200, "DELETE", f"/jobs/{number}")["cancel_requested"]
        job = site.ended(number)

        assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, True)
        check(site, [number])


@pytest.mark.parametrize(("deaths", "cancel"), [(1, True), (3, False)])
def test_a_job_whose_version_went_live_has_succeeded_whatever_comes_after(
    tmp_path: Path, deaths: int, cancel: bool
) -> None:
    """Its trainers die after the promotion, and before they say so."""
    with Site(tmp_path, None) as site:
        number = site.retrain(iterations=1, restarts=0, promote="always")
        for _ in range(deaths):
            assert site.trainer(DYING_BEFORE_IT_SAYS_SO).process.wait(DEADLINE) == 9
        if cancel:
            assert site.expect(200, "DELETE", f"/jobs/{number}")["cancel_requested"]
        assert site.repository.live_number() == 2
        site.trainer()
        job = site.ended(number)

        assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, True)
        check(site, [number])


def test_trainers_that_finish_together_promote_one_after_the_other(
    tmp_path: Path, database_url: str | None
) -> None:
    """Both wait for the promotion lock, which the test holds, before either goes on."""
    numbers: list[int] = []
    with Site(tmp_path, database_url, job_lease=60) as site:
        crew = [site.trainer(TELLING_OF_LOCKS) for _ in range(2)]

        def both_wait() -> bool:
            return [trainer.log.read_text().count(WANTS_TO_PROMOTE) for trainer in crew] == [
                turn
            ] * 2

        for turn in range(1, JOBS + 1):
            with site.repository.lock("promote"):
                numbers += [
                    site.retrain(iterations=1, restarts=0, seed=2 * turn + i, promote="always")
                    for i in range(2)
                ]
                until(both_wait)
            for number in numbers[-2:]:
                site.ended(number)
        jobs = check(site, numbers)
        promotions = check_history(site)

        assert len(promotions) == len(jobs) + 1
        for job in jobs:
            assert job["verdict"]["against"] == promotions[job["version"]].instead_of
        for trainer in crew:
            assert trainer.log.read_text().count("promoted: True") == JOBS
