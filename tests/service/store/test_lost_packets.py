"""Hosts whose packets to PostgreSQL, or from it, are lost without an error."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from streetlight.service.config.settings import THREADS
from streetlight.service.store.engine import open_engine, ordered_write_transaction
from tests.databases import POSTGRESQL
from tests.hosts import DatabaseHost, Installation, ServiceHost
from tests.network import needs_root
from tests.server import DEADLINE
from tests.service.conftest import until

needs_postgresql = pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL")
# Storms, because a new network interface ends the requests of the browsers in other tests.
pytestmark = [pytest.mark.process, pytest.mark.storm, needs_root, needs_postgresql]

# Seconds until a request that needs the database gets its response.
MAX_WAIT = 4.0
# How many transactions have the write lock, and how many wait for it.
LOCKS = (
    "SELECT count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted) FROM pg_locks "
    "WHERE locktype = 'advisory' AND objid = 1937011308"
)
POSTS = 13  # more than the threads that may use the database

ROWS = {"instances": [[1, 0, 1]]}
TENSOR = {"inputs": [{"name": "lights", "shape": [1, 3], "datatype": "FP64", "data": [1, 0, 1]}]}
# Requests that don't need the database.
WITHOUT_DATABASE: list[tuple[str, str, object]] = [
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
    ("GET", "/predict?lights=1,0,1", None),
    ("POST", "/predict", {"lights": [1, 0, 1]}),
    ("POST", "/predict/batch", {"lights": [[1, 0, 1]]}),
    ("POST", "/explain", {"lights": [1, 0, 1]}),
    ("POST", "/v1/models/streetlight:predict", ROWS),
    ("POST", "/v1/models/streetlight/versions/1:predict", ROWS),
    ("POST", "/v2/models/streetlight/infer", TENSOR),
    ("POST", "/v2/models/streetlight/versions/1/infer", TENSOR),
    ("POST", "/invocations", ROWS),
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two servers on hosts of their own."""
    folder = tmp_path_factory.mktemp("hosts")
    with Installation(folder, 2, workers=1) as installation:
        yield installation


@contextmanager
def cut_off(installation: Installation, site: ServiceHost) -> Iterator[None]:
    """Lose the packets between a server and the database; then wait until it has them again."""
    installation.network.drop(site.host, installation.database.host)
    try:
        yield
    finally:
        installation.network.heal(site.host, installation.database.host)
        until(lambda: record(site) == 201)


def record(site: ServiceHost) -> int:
    """Send an observation, and return the status of the response."""
    return site.request("POST", "/observations", {"lights": [1, 0, 1], "outcome": "walk"}).status


def timed_record(site: ServiceHost) -> tuple[int, float]:
    """Send an observation; return the status of the response, and the seconds that it took."""
    started = time.monotonic()
    return record(site), time.monotonic() - started


def slowest_without_database(site: ServiceHost, rounds: int) -> float:
    """Send the requests that don't need the database; return the seconds that one took at most."""
    slowest = 0.0
    for method, path, body in WITHOUT_DATABASE * rounds:
        started = time.monotonic()
        assert site.request(method, path, body).status == 200, path
        slowest = max(slowest, time.monotonic() - started)
    return slowest


def test_lost_packets_delay_only_what_needs_the_database(installation: Installation) -> None:
    site, database = installation.sites[0], installation.database
    engine = open_engine(database.url)
    with ThreadPoolExecutor(POSTS) as pool, ExitStack() as stack:
        stack.enter_context(ordered_write_transaction(engine))
        posts = [pool.submit(timed_record, site) for _ in range(POSTS)]
        until(lambda: database.query(LOCKS) == [["1", "8"]])
        before = slowest_without_database(site, 5)
        dropped = time.monotonic()
        with cut_off(installation, site):
            slowest = 0.0
            while not all(post.done() for post in posts):
                slowest = max(slowest, slowest_without_database(site, 1))
            assert {post.result()[0] for post in posts} == {503}
            assert time.monotonic() - dropped < MAX_WAIT
            # The machine of the tests may be busy with others.
            assert slowest < before + 0.1
            for _ in range(3):
                status, seconds = timed_record(site)
                assert status == 503
                assert seconds < MAX_WAIT
            stack.close()
    engine.dispose()


def test_requests_that_use_the_database_leave_threads_for_others(
    installation: Installation,
) -> None:
    """Of each route that isn't about the ledger or jobs, more of them than a worker has threads.

    Another host could have published version 2, but no host a version 99.
    """
    site = installation.sites[0]
    routes: list[tuple[str, object]] = [
        ("/versions/99/promote", None),
        ("/rollback", None),
        ("/v2/repository/models/streetlight/load", None),
        ("/v1/models/streetlight/versions/2:predict", ROWS),
    ]
    with ThreadPoolExecutor(THREADS * len(routes)) as pool, cut_off(installation, site):
        requests = [
            pool.submit(site.request, "POST", path, body)
            for path, body in routes
            for _ in range(THREADS)
        ]
        slowest = 0.0
        while not all(request.done() for request in requests):
            slowest = max(slowest, slowest_without_database(site, 1))
        assert {request.result().status for request in requests} == {503}
        started = time.monotonic()
        assert (
            site.request("POST", "/v1/models/streetlight/versions/99:predict", ROWS).status == 404
        )
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 1


def test_serve_starts_while_packets_are_lost(installation: Installation) -> None:
    site = installation.sites[0]
    with cut_off(installation, site):
        site.kill()
        started = time.monotonic()
        site.restart()
        assert time.monotonic() - started < 2 * MAX_WAIT
        # The follower needs a second to find out.
        until(lambda: site.get("/readyz")["missing"] == ["database"])
        assert site.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
    until(lambda: "missing" not in site.get("/readyz"))


CONNECT = """
import sys, time
from sqlalchemy.exc import DBAPIError
from streetlight.service.store.engine import open_engine
engine = open_engine("postgresql+psycopg://postgres@database.example/postgres")
started = time.monotonic()
try:
    engine.connect()
except DBAPIError as error:
    print(f"{time.monotonic() - started} {error.orig}")
"""
WITH_NAME_SERVER = 'mount --bind "$1" /etc/resolv.conf && exec "$2" -c "$3"'


def test_lost_packets_to_the_name_server_end_a_wait(
    installation: Installation, tmp_path: Path
) -> None:
    host, nowhere = installation.sites[0].host, installation.database.host
    configuration = tmp_path / "resolv.conf"
    configuration.write_text(f"nameserver {nowhere.address}\n")
    command = ("unshare", "--mount", "sh", "-c", WITH_NAME_SERVER, "-")
    with cut_off(installation, installation.sites[0]):
        run = host.run(*command, configuration, sys.executable, CONNECT)
    seconds, _, reason = run.stdout.partition(" ")
    assert "failed to resolve host" in reason, run.stderr
    assert float(seconds) < MAX_WAIT


HOLD_LOCK = """
import sys, threading
from streetlight.service.store.engine import open_engine, ordered_write_transaction
engine = open_engine(sys.argv[1])
def wait():
    with ordered_write_transaction(engine):
        pass
with ordered_write_transaction(engine):
    for _ in range(int(sys.argv[2])):
        threading.Thread(target=wait, daemon=True).start()
    threading.Event().wait()
"""


@contextmanager
def lock_held(
    site: ServiceHost, database: DatabaseHost, waiting: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Hold the write lock in a process, and let more of its transactions wait for it."""
    script = (sys.executable, "-c", HOLD_LOCK, database.url, str(waiting))
    process = site.host.popen(*script, stderr=subprocess.DEVNULL)
    try:
        until(lambda: database.query(LOCKS) == [["1", str(waiting)]])
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)


def test_a_host_that_is_cut_off_inside_a_transaction_stops_the_others_for_5_s(
    installation: Installation,
) -> None:
    """Also while more of its transactions wait for the lock, which each of them would get."""
    database, (cut, other) = installation.database, installation.sites
    with lock_held(cut, database, 7), cut_off(installation, cut):
        status, seconds = timed_record(other)
    assert status == 201
    assert seconds < 5


def test_a_process_that_is_suspended_inside_a_transaction_stops_the_others_for_5_s(
    installation: Installation,
) -> None:
    database, (suspended, other) = installation.database, installation.sites
    with lock_held(suspended, database, 0) as process:
        process.send_signal(signal.SIGSTOP)
        status, seconds = timed_record(other)
    assert status == 201
    assert seconds < 5
