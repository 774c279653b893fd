"""Processes that are killed or suspended are replaced, and no acknowledged write is lost."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from tests.server import DEADLINE
from tests.service.cli.test_main_process import kill
from tests.service.conftest import Site, until
from tests.service.server.processes import running_processes

pytestmark = [pytest.mark.process, pytest.mark.storm]

ROUNDS = min(20, int(os.environ.get("STORM_ROUNDS", "3")))
WORKERS = 2
# Seconds after which gunicorn replaces a worker that sends no heartbeat.
TIMEOUT = 2
GENERATOR = random.Random(0)  # noqa: S311 - not for secrets


def kill_a_child(site: Site) -> None:
    """Kill a worker, the trainer or the follower."""
    main = site.process.pid
    kill(site, GENERATOR.choice([pid for pid in running_processes(main) if pid != main]))


def suspend_a_worker(site: Site) -> None:
    """Suspend a worker, which gunicorn then replaces."""
    pid = GENERATOR.choice(site.workers())
    os.kill(pid, signal.SIGSTOP)
    until(lambda: pid not in site.workers() and len(site.workers()) == WORKERS)


def kill_the_main_process(site: Site) -> None:
    """Kill the main process, and start the server again as soon as the others have ended."""
    session = site.process.pid
    os.kill(session, signal.SIGKILL)
    site.process.wait(DEADLINE)
    until(lambda: not running_processes(session), 10)
    site.process = site.start()
    site.wait_until_ready()


def test_killed_and_suspended_processes_are_replaced(
    tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--timeout {TIMEOUT}")
    attacks: tuple[Callable[[Site], None], ...] = (
        kill_a_child,
        suspend_a_worker,
        kill_the_main_process,
    )
    statuses: list[int] = []
    acknowledged, jobs, done = [], [], threading.Event()
    # The main one, the trainer, and a follower if hosts share the database.
    processes = WORKERS + (3 if database_url else 2)
    with Site(tmp_path, database_url, workers=WORKERS, trainer=True) as site:

        def predict() -> None:
            # A suspended worker doesn't answer; its connections end when it is replaced.
            with urllib3.connection_from_url(site.url, retries=False, timeout=1) as pool:
                while not done.is_set():
                    try:
                        body = {"lights": [1, 0, 1]}
                        statuses.append(pool.request("POST", "/predict", json=body).status)
                    except urllib3.exceptions.HTTPError:
                        done.wait(0.01)

        client = threading.Thread(target=predict)
        client.start()
        try:
            for number in range(ROUNDS):
                jobs.append(site.retrain())
                until(lambda: len(running_processes(site.process.pid)) == processes)
                attacks[number % len(attacks)](site)
                until(lambda: len(running_processes(site.process.pid)) == processes)
                row = {"lights": [1, 0, 0], "outcome": "walk"}
                results = site.expect(201, "POST", "/observations", row)["results"]
                acknowledged.append(results[0]["id"])
                answered = len(statuses)
                until(lambda: len(statuses) > answered + 10)  # noqa: B023
        finally:
            done.set()
            client.join()
        assert set(statuses) == {200}
        assert [row["id"] for row in site.observations()] == acknowledged
        assert {site.wait_until_finished(job)["state"] for job in jobs} == {"succeeded"}
