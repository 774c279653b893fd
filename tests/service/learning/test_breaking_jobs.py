"""Trainers that are killed, stopped, told to end and overtaken: no job is lost or done twice."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

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
PROMOTE = ("if_better", "always", "never")


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
    """Every job is over, for a reason, and what it says is so; return them."""
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
            assert job["state"] == "failed"
            assert job["error"]
    return jobs


def stop_outside_a_transaction(site: Site, trainer: Trainer, number: int) -> None:
    """Stop a trainer in the middle of a job, where it holds no lock that others wait for."""
    engine = open_engine(site.database)
    while True:
        site.under_way(number)
        trainer.process.send_signal(signal.SIGSTOP)
        with suppress(DBAPIError), write_transaction(engine) as connection:
            connection.execute(select(table.c.id).with_for_update(nowait=True))
            break
        trainer.process.send_signal(signal.SIGCONT)
    engine.dispose()


@pytest.mark.timeout(1200)
def test_killing_trainers_at_random_loses_no_job_and_does_none_twice(
    tmp_path: Path, database_url: str | None
) -> None:
    moments, kills = random.Random(0), 0  # noqa: S311 - not for secrets
    with Site(tmp_path, database_url) as site:
        numbers = [
            site.retrain(iterations=moments.randint(1, 20_000), seed=i, promote=PROMOTE[i % 3])
            for i in range(JOBS)
        ]
        crew = [site.trainer() for _ in range(3)]
        while kills < JOBS and any(job["state"] in ("queued", "running") for job in site.jobs()):
            victim = until(lambda: [trainer for trainer in crew if trainer.ready])[0]
            with pytest.raises(subprocess.TimeoutExpired):
                victim.process.wait(moments.uniform(0, 0.3))
            victim.kill()
            crew.remove(victim)
            crew.append(site.trainer())
            kills += 1
        for number in numbers:
            site.ended(number)
        jobs = check(site, numbers)

    assert kills >= JOBS / 4
    assert max(job["attempt"] for job in jobs) > 1
    assert sum(job["state"] == "succeeded" for job in jobs) > JOBS / 2


def test_a_trainer_that_was_stopped_past_its_lease_changes_nothing(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url) as site:
        sleeper = site.trainer()
        number = site.retrain(hidden_sizes=[4], iterations=200_000, restarts=0, promote="always")
        stop_outside_a_transaction(site, sleeper, number)
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
    ends = []
    with Site(tmp_path, database_url) as site:
        site.trainer()
        for i in range(JOBS):
            number = site.retrain(iterations=2_000, seed=i, restarts=0, promote="always")
            site.begun(number)
            time.sleep(moments.uniform(0, 0.1))
            status = site.request("DELETE", f"/jobs/{number}").status
            job = site.ended(number)
            ends.append(job["state"])
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
                assert job["state"] == "succeeded"
                assert job["promoted"] is True
                assert made == [job["version"]] == [site.repository.live_number()]
        check_history(site)
    assert set(ends) <= {"cancelled", "succeeded"}


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
    with Site(tmp_path, database_url) as site:
        crew = [site.trainer() for _ in range(2)]
        until(lambda: all(trainer.ready for trainer in crew))
        numbers = [
            site.retrain(iterations=1, restarts=0, target_error=None, seed=i, promote="always")
            for i in range(2 * JOBS)
        ]
        for number in numbers:
            site.ended(number)
        jobs = check(site, numbers)
        promotions = check_history(site)

        assert len(promotions) == len(jobs) + 1
        for job in jobs:
            assert job["verdict"]["against"] == promotions[job["version"]].instead_of
        assert all(trainer.said("promoted: True") for trainer in crew)
