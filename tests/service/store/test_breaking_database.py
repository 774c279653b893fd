"""PostgreSQL hangs, restarts, refuses connections or fails over while clients send requests."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Self

import psycopg
import pytest

from tests.databases import POSTGRESQL, Cluster
from tests.hosts import Installation
from tests.network import needs_root
from tests.server import DEADLINE, free_port
from tests.service.conftest import ENDLESS, Site, until

pytestmark = [
    pytest.mark.process,
    pytest.mark.storm,
    pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL"),
]

OUTAGE_SECONDS = 1.0
RECORDERS = 12  # more than the threads that may use the database
PREDICTIONS = ("/predict?lights=1,0,1", "/livez", "/readyz")
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
# Transactions that began before the configuration was read again.
WRITING = "SELECT count(*) FROM pg_stat_activity WHERE xact_start < pg_conf_load_time()"


def hang(cluster: Cluster) -> None:
    cluster.send(signal.SIGSTOP)
    threading.Event().wait(OUTAGE_SECONDS)
    cluster.send(signal.SIGCONT)


def crash(cluster: Cluster) -> None:
    cluster.kill()
    threading.Event().wait(OUTAGE_SECONDS)
    cluster.start()


def restart(cluster: Cluster) -> None:
    cluster.stop()
    cluster.start()


def terminate(cluster: Cluster) -> None:
    """End all connections again and again."""
    end = time.monotonic() + OUTAGE_SECONDS
    with psycopg.connect(cluster.conninfo, autocommit=True) as connection:
        while time.monotonic() < end:
            connection.execute(TERMINATE)
            threading.Event().wait(0.05)


def exhaust(cluster: Cluster) -> None:
    """Take all connections, also those that the service has."""
    with ExitStack() as stack:
        first = stack.enter_context(psycopg.connect(cluster.conninfo, autocommit=True))
        taken = [first.info.backend_pid]
        end = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):  # too many clients
                while True:
                    connection = stack.enter_context(psycopg.connect(cluster.conninfo))
                    taken.append(connection.info.backend_pid)
            first.execute(f"{TERMINATE} AND pid <> ALL(%s)", [taken])


ROUNDS = min(20, int(os.environ.get("STORM_ROUNDS", "5")))
ATTACKS = (hang, crash, restart, terminate, exhaust)
FAILURES = ("cut off", "read-only", "killed")[: ROUNDS - 2]


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


class Load:
    """Clients that record observations, and clients that predict, while a job is trained."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.rows: list[dict[str, int]] = [{} for _ in range(RECORDERS)]
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self.site.trainer()
        self.job = self.site.retrain(**ENDLESS)
        self.site.wait_for_progress(self.job)
        self._done = threading.Event()
        self._pool = ThreadPoolExecutor(RECORDERS + 2)
        submit = self._pool.submit
        self._clients = [
            submit(record, self.site, name, self._done, rows) for name, rows in enumerate(self.rows)
        ]
        self._clients += [submit(predict, self.site, self._done, self.seconds) for _ in range(2)]
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._pool.shutdown()

    def wait_until_all_record(self) -> None:
        """Wait until each client has recorded another observation."""
        counts = [len(found) for found in self.rows]

        def all_recorded() -> bool:
            failed = [client.exception() for client in self._clients if client.done()]
            assert not failed, failed
            return all(len(found) > count for found, count in zip(self.rows, counts, strict=True))

        until(all_recorded)

    def check(self) -> None:
        """Fail if an acknowledged row is lost or doubled, or if the job or a prediction failed."""
        self.__exit__()
        for client in self._clients:
            client.result(DEADLINE)
        # The training went on, in the same attempt.
        assert self.site.wait_for_progress(self.job)["attempt"] == 1
        acknowledged = {
            client_id: number for found in self.rows for client_id, number in found.items()
        }
        assert {row["client_id"]: row["id"] for row in self.site.observations()} == acknowledged
        metrics = self.site.request("GET", "/metrics").data
        assert b"streetlight_database_up 1.0" in metrics
        assert max(self.seconds) < 2
        assert "rejected: 500" not in self.site.log.read_text()
        print(f"{len(acknowledged)} rows, {len(self.seconds)} responses, {max(self.seconds):.2f} s")


@pytest.mark.timeout(100)
def test_outages_lose_no_acknowledged_row_and_no_prediction(tmp_path: Path) -> None:
    with (
        Cluster(free_port()) as cluster,
        Site(tmp_path, cluster.url, workers=2, job_lease=60) as site,
        Load(site) as load,
    ):
        for attack in islice(cycle(ATTACKS), max(ROUNDS, len(ATTACKS))):
            attack(cluster)
            load.wait_until_all_record()
        load.check()


@needs_root
@pytest.mark.timeout(100)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failover_loses_no_acknowledged_row(tmp_path: Path, failure: str) -> None:
    """With synchronous replication: a commit is acknowledged when the standby has it."""
    with (
        Installation(tmp_path, 1, standby=True, workers=2, job_lease=60) as installation,
        Load(installation.sites[0]) as load,
    ):
        network, (site,) = installation.network, installation.sites
        primary, standby = installation.database, installation.standby
        primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.query("SELECT pg_reload_conf()")
        until(lambda: primary.query("SELECT sync_state FROM pg_stat_replication") == [["sync"]])
        load.wait_until_all_record()
        if failure == "killed":
            primary.kill()
        elif failure == "cut off":
            network.drop(primary.host, site.host)
            network.drop(primary.host, standby.host)
        else:
            primary.query("ALTER SYSTEM SET default_transaction_read_only = on")
            primary.query("SELECT pg_reload_conf()")
            until(lambda: primary.query(WRITING) == [["0"]])
        standby.promote()
        load.wait_until_all_record()
        load.check()
