"""A PostgreSQL server that hangs, or is killed and starts again, while clients send requests."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.databases import POSTGRESQL, Cluster
from tests.server import DEADLINE, free_port
from tests.service.conftest import ENDLESS, Site, until

pytestmark = [
    pytest.mark.process,
    pytest.mark.storm,
    pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL"),
]

ATTACKS = min(20, int(os.environ.get("STORM_ROUNDS", "3")))
OUTAGE_SECONDS = 1.5
RECORDERS = 12  # more than the threads that may use the database
PREDICTIONS = ("/predict?lights=1,0,1", "/livez", "/readyz")


def hang(cluster: Cluster) -> None:
    cluster.send(signal.SIGSTOP)
    threading.Event().wait(OUTAGE_SECONDS)
    cluster.send(signal.SIGCONT)


def restart(cluster: Cluster) -> None:
    cluster.kill()
    threading.Event().wait(OUTAGE_SECONDS)
    cluster.start()


def record(site: Site, name: int, done: threading.Event, rows: dict[str, int]) -> None:
    """Repeat each observation until it is acknowledged, and collect the ids."""
    while not done.is_set():
        client_id = f"{name}-{len(rows)}"
        body = {"lights": [1, 0, 0], "outcome": "walk", "id": client_id}
        deadline = time.monotonic() + DEADLINE
        while True:
            response = site.request("POST", "/observations", body, **{"Idempotency-Key": client_id})
            if response.status == 201:
                break
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert time.monotonic() < deadline
            done.wait(0.05)
        rows[client_id] = response.json()["results"][0]["id"]


def predict(site: Site, done: threading.Event, slowest: list[float]) -> None:
    """Send requests that don't need the database; collect how long they take."""
    while not done.wait(0.02):
        for path in PREDICTIONS:
            start = time.monotonic()
            site.get(path)
            slowest.append(time.monotonic() - start)
        assert site.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"


@pytest.mark.timeout(300)
def test_outages_lose_no_acknowledged_row_and_no_prediction(tmp_path: Path) -> None:
    done = threading.Event()
    rows: list[dict[str, int]] = [{} for _ in range(RECORDERS)]
    seconds: list[float] = []
    with (
        Cluster(free_port()) as cluster,
        Site(tmp_path, cluster.url, workers=2, job_lease=60) as site,
        ThreadPoolExecutor(RECORDERS + 2) as pool,
    ):
        site.trainer()
        job = site.retrain(**ENDLESS)
        site.wait_for_progress(job)
        clients = [pool.submit(record, site, name, done, rows[name]) for name in range(RECORDERS)]
        clients += [pool.submit(predict, site, done, seconds) for _ in range(2)]

        def all_acknowledged(counts: list[int]) -> bool:
            failed = [client.exception() for client in clients if client.done()]
            assert not failed, failed
            return all(len(found) > count for found, count in zip(rows, counts, strict=True))

        try:
            for attack in islice(cycle((hang, restart)), ATTACKS):
                attack(cluster)
                counts = [len(found) for found in rows]
                until(lambda counts=counts: all_acknowledged(counts))  # type: ignore[misc]
        finally:
            done.set()
        for client in clients:
            client.result(DEADLINE)
        # The training went on, in the same attempt.
        assert site.wait_for_progress(job)["attempt"] == 1
        acknowledged = {client_id: number for found in rows for client_id, number in found.items()}
        assert {row["client_id"]: row["id"] for row in site.observations()} == acknowledged
        metrics = site.request("GET", "/metrics").data
        log = site.log.read_text()
    assert b"streetlight_database_up 1.0" in metrics
    assert max(seconds) < 5
    assert "rejected: 500" not in log
    print(f"{ATTACKS} outages, {len(acknowledged)} rows, {len(seconds)} responses")
