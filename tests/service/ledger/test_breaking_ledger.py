"""Killed workers, concurrent initialization and full disks lose no acknowledged write."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from sqlalchemy.exc import DBAPIError

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Manifest
from streetlight.service.config.settings import Settings
from streetlight.service.ledger.queries import Filter, count, page, stream
from streetlight.service.store.engine import open_engine
from tests import databases
from tests.conftest import STORM
from tests.server import DEADLINE, STREETLIGHT, environment, streetlight
from tests.service.conftest import Site, until
from tests.service.small_disk import SmallSite

pytestmark = [pytest.mark.process, pytest.mark.storm]

KILLS = 100 if STORM else 5
CLIENTS = 8
INITIALIZE = (
    "import sys; from streetlight.service.wiring import build_services, initialize\n"
    "from streetlight.service.config.sources import load_settings\n"
    "services = build_services(load_settings())\n"
    "print('ready', flush=True); sys.stdin.read(); initialize(services)"
)


def send_until_acknowledged(site: Site, path: str, body: object, key: str) -> Any:
    """Repeat a request with the same key until it gets a response."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            response = site.request("POST", path, body, **{"Idempotency-Key": key})
        except urllib3.exceptions.HTTPError:
            continue
        assert response.status in (201, 202), response.data
        return response.json()
    raise AssertionError(f"no response to the request with the key {key}")


def post_until(
    done: threading.Event, site: Site, name: int, rows: dict[str, int], jobs: list[int]
) -> None:
    """Post observations, and a job after every fifth; collect the acknowledged ids."""
    generator = random.Random(name)  # noqa: S311 - not for secrets
    while not done.is_set():
        client_id = f"{name}-{len(rows)}"
        lights = [float(generator.randint(0, 1)) for _ in range(3)]
        body = {"lights": lights, "outcome": "walk", "id": client_id}
        result = send_until_acknowledged(site, "/observations", body, f"row {client_id}")
        assert result["recorded"] == 1, "a repeated request was recorded as a duplicate"
        rows[client_id] = result["results"][0]["id"]
        if len(rows) % 5 == 0:
            jobs.append(send_until_acknowledged(site, "/retrain", {}, f"job {client_id}")["id"])


@pytest.mark.timeout(600)
def test_killing_workers_loses_and_duplicates_no_acknowledged_row(
    tmp_path: Path, database_url: str | None
) -> None:
    """Between two kills, each client gets at least one response."""
    generator, done = random.Random(0), threading.Event()  # noqa: S311 - not for secrets
    results: list[tuple[dict[str, int], list[int]]] = [({}, []) for _ in range(CLIENTS)]
    with Site(tmp_path, database_url, workers=2) as site:
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [
                pool.submit(post_until, done, site, name, *results[name]) for name in range(CLIENTS)
            ]

            def all_acknowledged(counts: list[int]) -> bool:
                failed = [client.exception() for client in clients if client.done()]
                assert not failed, failed
                return all(len(rows) > n for (rows, _), n in zip(results, counts, strict=True))

            try:
                for _ in range(KILLS):
                    until(partial(all_acknowledged, [len(rows) for rows, _ in results]))
                    time.sleep(generator.uniform(0, 0.2))
                    victim = generator.choice(until(site.workers))
                    os.kill(victim, signal.SIGKILL)
                    until(lambda killed=victim: killed not in site.workers())  # type: ignore[misc]
            finally:
                done.set()
            for client in clients:
                client.result()
        site.wait_until_ready()
        site.check()
        observations, jobs = site.observations(), site.jobs()

    rows: dict[str, int] = {}
    for acknowledged_rows, _ in results:
        rows |= acknowledged_rows
    assert {row["client_id"]: row["id"] for row in observations} == rows
    assert len(observations) == len(rows)
    numbers = [number for _, acknowledged_jobs in results for number in acknowledged_jobs]
    assert sorted(numbers) == [job["id"] for job in jobs]


def test_a_killed_import_is_completed_by_the_next(tmp_path: Path, database_url: str | None) -> None:
    """The import is killed after different numbers of transactions, and at a random moment."""
    rows = 30_000
    generator = random.Random(0)  # noqa: S311 - not for secrets
    file = tmp_path / "corner.csv"
    lines = (f"{i % 2},{i % 3},{i},{'walk' if i % 2 else 'stop'}\n" for i in range(rows))
    file.write_text("a,b,c,outcome\n" + "".join(lines))
    settings: dict[str, object] = {"data_dir": tmp_path, "start_empty": True}
    if database_url:
        settings["database_url"] = database_url
    engine = open_engine(database_url or Settings(data_dir=tmp_path).database)

    def recorded() -> int:
        try:
            return count(engine, Filter())
        except DBAPIError:
            return 0  # the import hasn't created the table

    try:
        for kill_at in (1, 10_001, 20_001):
            with subprocess.Popen(
                [STREETLIGHT, "import", str(file)],
                env=environment(**settings),
                stdout=subprocess.DEVNULL,
            ) as process:
                until(lambda kill_at=kill_at: recorded() >= kill_at)  # type: ignore[misc]
                time.sleep(generator.uniform(0, 0.2))
                process.kill()
        last = streetlight("import", str(file), **settings)
        assert last.returncode == 0, last.stderr
        assert "were in the ledger already" in last.stdout
        pages = stream(engine, Filter())
        assert [row.lights[2] for page in pages for row in page] == list(range(rows))
    finally:
        engine.dispose()


def test_concurrent_processes_initialize_the_database_once(
    tmp_path: Path, database_url: str | None
) -> None:
    """On PostgreSQL each process has its own data directory, as on a host of its own."""
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


def test_an_interrupted_initialization_is_completed_by_the_next(tmp_path: Path) -> None:
    """The first process exits between creating the tables and adding the lab's observations."""
    exiting = (
        "import os; from streetlight.service import wiring\n"
        "wiring.record_in_transaction = lambda *_, **__: os._exit(9)\n"
    )
    for code, status in ((exiting + INITIALIZE, 9), (INITIALIZE, 0)):
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


def test_a_promotion_that_cannot_be_logged_fails_and_is_undone(tmp_path: Path) -> None:
    """A limit on the size of the worker's files applies to root as well."""
    with Site(tmp_path, None) as site:
        streetlight("train", "--no-promote", data_dir=tmp_path)
        (worker,) = site.workers()
        _, limit = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, limit))

        message = site.expect(503, "POST", "/versions/2/promote")["error"]
        assert message == "the data directory can't be used: File too large"
        assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1

        resource.prlimit(worker, resource.RLIMIT_FSIZE, (limit, limit))
        assert site.post("/versions/2/promote")["promotion"]["instead_of"] == 1


def test_a_full_disk_fails_writes_but_not_predictions(
    tmp_path: Path, database_url: str | None
) -> None:
    row = {"lights": [1, 0, 0], "outcome": "walk"}
    with SmallSite(tmp_path, database_url, trainer=True) as site:
        assert site.wait_until_finished(site.retrain(promote="never"))["version"] == 2
        site.expect(201, "POST", "/observations", row)
        workers = site.workers()
        site.fill()

        if database_url:
            # The database has another disk: the job succeeds, but this host can't copy its version.
            site.expect(201, "POST", "/observations", row)
            job = site.wait_until_finished(site.retrain(promote="always"))
            assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 3, True)
        else:
            for path, body in (("/observations", row), ("/retrain", {})):
                message = site.expect(503, "POST", path, body)["error"]
                assert message.startswith("the database can't be used: ")
        assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1

        site.filler.unlink()
        live = 3 if database_url else 1
        assert site.post("/versions/2/promote")["promotion"]["instead_of"] == live
        site.expect(201, "POST", "/observations", row)
        assert len(site.observations()) == (3 if database_url else 2)
        assert len(site.jobs()) == (2 if database_url else 1)
        assert site.workers() == workers
        assert site.post("/versions/2/verify")["identical"]


def test_a_full_disk_leaves_no_write_half_done(tmp_path: Path) -> None:
    """Every write is acknowledged and on disk, or fails and can be repeated with the same key."""
    lights = [float(i) for i in range(60)]
    rows = [{"lights": [i, *lights], "outcome": "walk", "id": f"{i}"} for i in range(2300)]
    batch = {"observations": rows}
    single = {"lights": [1, *lights], "outcome": "walk"}
    file = tmp_path / "corner.csv"
    header = ",".join(f"light_{i}" for i in range(61))
    file.write_text(f"{header},outcome\n" + "\n".join(f"{i}{',1' * 60},walk" for i in range(9000)))
    with SmallSite(tmp_path / "data", None, limit="size=16m", start_empty=True) as site:
        first = site.expect(201, "POST", "/observations", single)["results"][0]["id"]
        namespace = ("nsenter", "--target", str(site.process.pid), "--user", "--mount")
        importing = (*namespace, "--preserve-credentials", STREETLIGHT, "import", str(file))
        site.fill()

        failed = []
        for i in range(10):
            key = {"Idempotency-Key": f"single {i}"}
            response = site.request("POST", "/observations", single, **key)
            assert response.status in (201, 503)
            failed += [i] * (response.status == 503)
        responses = [
            site.request("POST", "/observations", batch, **{"Idempotency-Key": "batch"}),
            site.request("POST", "/retrain", {}, **{"Idempotency-Key": "job"}),
            site.request("DELETE", f"/observations/{first}"),
        ]
        run = subprocess.run(
            importing,
            env=environment(**site.settings),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert failed
        assert [response.status for response in responses] == [503] * 3
        for response in responses:
            assert response.json()["error"].startswith("the database can't be used: ")
        assert run.returncode == 2
        assert run.stderr.splitlines()[-1].startswith("streetlight: the database can't be used: ")
        assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
        page = site.get("/observations?limit=1000")
        assert page["total"] == len(page["observations"]) == 1 + 10 - len(failed)
        assert not any(row["withdrawn"] for row in page["observations"])
        assert site.jobs() == []

        site.filler.unlink()
        for _ in range(2):
            for i in range(10):
                key = {"Idempotency-Key": f"single {i}"}
                site.expect(201, "POST", "/observations", single, **key)
            key = {"Idempotency-Key": "batch"}
            assert site.expect(201, "POST", "/observations", batch, **key)["recorded"] == len(rows)
            site.expect(202, "POST", "/retrain", {}, **{"Idempotency-Key": "job"})
            assert site.expect(200, "DELETE", f"/observations/{first}")["withdrawn"]
        assert site.get("/observations?limit=1")["total"] == 10 + len(rows)
        assert len(site.jobs()) == 1


def test_a_withdrawn_observation_does_not_affect_the_next_version(
    tmp_path: Path, database_kind: str, database_url: str | None
) -> None:
    """The withdrawn observation is the first of its light state, which determines the row order."""
    wrong, *others = (
        {"lights": [1, 1, 0], "outcome": "stop"},
        {"lights": [0, 0, 0], "outcome": "stop"},
        {"lights": [1, 1, 0], "outcome": "walk"},
    )
    manifests: list[Manifest] = []
    with databases.fresh(database_kind) as other_url:
        for name, url in (("withdrawn", database_url), ("never recorded", other_url)):
            with Site(tmp_path / name, url) as site:
                if name == "withdrawn":
                    number = site.expect(201, "POST", "/observations", wrong)["results"][0]["id"]
                for row in others:
                    site.expect(201, "POST", "/observations", row)
                if name == "withdrawn":
                    assert site.expect(200, "DELETE", f"/observations/{number}")["withdrawn"]
                site.trainer()
                version = site.wait_until_finished(site.retrain())["version"]
                manifests.append(site.repository.load(version).manifest)
    withdrawn, never_recorded = manifests
    assert withdrawn.sha256 == never_recorded.sha256
    assert [tuple(ids) for ids in withdrawn.observations or ()] == [(1, 4), (6, 7)]
    assert [tuple(ids) for ids in never_recorded.observations or ()] == [(1, 6)]
