"""Killed web workers, many that begin at once, a full disk: nothing acknowledged is lost."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Manifest
from streetlight.service.config import Settings
from streetlight.service.ledger.queries import Filter, page
from streetlight.service.store.engine import open_engine
from tests import databases
from tests.conftest import STORM
from tests.server import DEADLINE, STREETLIGHT, environment, streetlight
from tests.service.conftest import Site, until

pytestmark = pytest.mark.storm

KILLS = 100 if STORM else 5
CLIENTS = 8
INITIALIZE = (
    "import sys; from streetlight.service.wiring import build_services, initialize_ledger\n"
    "from streetlight.service.config import load_settings\n"
    "services = build_services(load_settings())\n"
    "print('ready', flush=True); sys.stdin.read(); initialize_ledger(services)"
)


def acknowledged(site: Site, path: str, body: object, key: str) -> Any:
    """Send a request again and again, with the same key, until it is answered."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            response = site.request("POST", path, body, **{"Idempotency-Key": key})
        except urllib3.exceptions.HTTPError:
            continue
        assert response.status in (201, 202), response.data
        return response.json()
    raise AssertionError(f"{key} is never acknowledged")


def post_until(
    over: threading.Event, site: Site, name: int, rows: dict[str, int], jobs: list[int]
) -> None:
    """Post observations and now and then a job; note the ids that are acknowledged."""
    moments = random.Random(name)  # noqa: S311 - not for secrets
    while not over.is_set():
        client_id = f"{name}-{len(rows)}"
        lights = [float(moments.randint(0, 1)) for _ in range(3)]
        body = {"lights": lights, "outcome": "walk", "id": client_id}
        told = acknowledged(site, "/observations", body, f"row {client_id}")
        assert told["recorded"] == 1, "taken for a duplicate, in spite of its key"
        rows[client_id] = told["results"][0]["id"]
        if len(rows) % 5 == 0:
            jobs.append(acknowledged(site, "/retrain", {}, f"job {client_id}")["id"])


@pytest.mark.timeout(600)
def test_killing_workers_loses_nothing_acknowledged_and_doubles_nothing(
    tmp_path: Path, database_url: str | None
) -> None:
    """Each client is acknowledged between two deaths, so that slow ones are not kept from it."""
    moments, over = random.Random(0), threading.Event()  # noqa: S311 - not for secrets
    told: list[tuple[dict[str, int], list[int]]] = [({}, []) for _ in range(CLIENTS)]
    with Site(tmp_path, database_url, workers=2) as site:
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [
                pool.submit(post_until, over, site, name, *told[name]) for name in range(CLIENTS)
            ]

            def all_acknowledged(counts: list[int]) -> bool:
                failed = [client.exception() for client in clients if client.done()]
                assert not failed, failed
                return all(len(rows) > n for (rows, _), n in zip(told, counts, strict=True))

            try:
                for _ in range(KILLS):
                    until(partial(all_acknowledged, [len(rows) for rows, _ in told]))
                    time.sleep(moments.uniform(0, 0.2))
                    victim = moments.choice(until(site.workers))
                    os.kill(victim, signal.SIGKILL)
                    until(lambda killed=victim: killed not in site.workers())  # type: ignore[misc]
            finally:
                over.set()
            for client in clients:
                client.result()
        site.wait_until_ready()
        observations, jobs = site.observations(), site.jobs()

    rows: dict[str, int] = {}
    for told_rows, _ in told:
        rows |= told_rows
    assert {row["client_id"]: row["id"] for row in observations} == rows
    assert len(observations) == len(rows)
    numbers = [number for _, told_jobs in told for number in told_jobs]
    assert sorted(numbers) == [job["id"] for job in jobs]


def test_many_that_prepare_the_database_at_once_do_it_once(
    tmp_path: Path, database_url: str | None
) -> None:
    """On PostgreSQL from folders of their own, as hosts of their own would."""
    read, write = os.pipe()
    processes = []
    for i in range(8):
        settings: dict[str, object] = {"data_dir": tmp_path}
        if database_url:
            settings = {"data_dir": tmp_path / str(i), "database_url": database_url}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", INITIALIZE],
                env=environment(**settings),
                stdin=read,
                stdout=subprocess.PIPE,
            )
        )
    os.close(read)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    os.close(write)
    for process in processes:
        process.communicate(timeout=DEADLINE)
        assert process.returncode == 0

    engine = open_engine(database_url or Settings(data_dir=tmp_path).database)
    rows = page(engine, Filter(), 0, 100)
    engine.dispose()
    assert [row.id for row in rows] == [1, 2, 3, 4]
    assert [row.lights for row in rows] == LAB.lights.tolist()
    assert {row.source for row in rows} == {"lab"}


def test_a_preparation_that_was_killed_is_done_by_the_next(tmp_path: Path) -> None:
    """It dies between the tables and the lab's observations, if there is such a moment."""
    dying = (
        "import os; from streetlight.service import wiring\n"
        "wiring.record_in_transaction = lambda *_, **__: os._exit(9)\n"
    )
    for code, status in ((dying + INITIALIZE, 9), (INITIALIZE, 0)):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(data_dir=tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=False,
        )
        assert run.returncode == status

    engine = open_engine(Settings(data_dir=tmp_path).database)
    rows = page(engine, Filter(), 0, 100)
    engine.dispose()
    assert [row.id for row in rows] == [1, 2, 3, 4]


def test_a_switch_that_can_not_be_recorded_is_told_and_does_not_happen(tmp_path: Path) -> None:
    """No file of the worker may grow, which binds root too."""
    with Site(tmp_path, None) as site:
        streetlight("train", "--no-promote", data_dir=tmp_path)
        (worker,) = site.workers()
        _, most = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, most))

        message = site.expect(503, "POST", "/versions/2/promote")["error"]
        assert message == "the data directory can't be used: File too large"
        assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1

        resource.prlimit(worker, resource.RLIMIT_FSIZE, (most, most))
        assert site.post("/versions/2/promote")["promotion"]["instead_of"] == 1


class SmallSite(Site):
    """A site whose data directory is a file system of its own, with little room."""

    command = (
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
        'mount -t tmpfs -o size=4m none "$STREETLIGHT_DATA_DIR" && exec "$0" serve',
        STREETLIGHT,
    )

    @property
    def filling(self) -> Path:
        """A file in it, as it is seen from outside."""
        return Path(f"/proc/{self.process.pid}/root{self.data_dir}/filling")

    def fill(self) -> None:
        """Leave not a byte."""
        with self.filling.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024))


def test_a_full_disk_is_told_and_predictions_go_on(
    tmp_path: Path, database_url: str | None
) -> None:
    row = {"lights": [1, 0, 0], "outcome": "walk"}
    with SmallSite(tmp_path, database_url, trainer=True) as site:
        assert site.ended(site.retrain(promote="never"))["version"] == 2
        site.expect(201, "POST", "/observations", row)
        workers = site.workers()
        site.fill()

        if database_url:
            # The database has room elsewhere: the job is taken, and can't keep what it trained.
            site.expect(201, "POST", "/observations", row)
            job = site.ended(site.retrain())
            assert job["state"] == "failed"
            assert "No space left on device" in job["error"]
        else:
            for path, body in (("/observations", row), ("/retrain", {})):
                message = site.expect(503, "POST", path, body)["error"]
                assert message.startswith("the database can't be used: ")
        assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1

        site.filling.unlink()
        assert site.post("/versions/2/promote")["promotion"]["instead_of"] == 1
        site.expect(201, "POST", "/observations", row)
        assert len(site.observations()) == (3 if database_url else 2)
        assert len(site.jobs()) == (2 if database_url else 1)
        assert site.workers() == workers
        assert site.post("/versions/2/verify")["identical"]


def test_a_withdrawn_observation_leaves_no_trace_in_what_is_learnt_next(
    tmp_path: Path, database_kind: str, database_url: str | None
) -> None:
    """Not even in the order of the rows: the one withdrawn is the first of its light state."""
    wrong, *others = (
        {"lights": [1, 1, 0], "outcome": "stop"},
        {"lights": [0, 0, 0], "outcome": "stop"},
        {"lights": [1, 1, 0], "outcome": "walk"},
    )
    made: list[Manifest] = []
    with databases.fresh(database_kind) as other_url:
        for name, url in (("withdrawn", database_url), ("never there", other_url)):
            with Site(tmp_path / name, url) as site:
                if name == "withdrawn":
                    number = site.expect(201, "POST", "/observations", wrong)["results"][0]["id"]
                for row in others:
                    site.expect(201, "POST", "/observations", row)
                if name == "withdrawn":
                    assert site.expect(200, "DELETE", f"/observations/{number}")["withdrawn"]
                site.trainer()
                version = site.ended(site.retrain())["version"]
                made.append(site.repository.load(version).manifest)
    there, never = made
    assert there.sha256 == never.sha256
    assert [tuple(ids) for ids in there.observations or ()] == [(1, 4), (6, 7)]
    assert [tuple(ids) for ids in never.observations or ()] == [(1, 6)]
