"""Lost responses, slow and restarted servers, killed workers: nothing is lost or doubled."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest

from streetlight.client import Client, Job, Retry, UnavailableError, UnreachableError
from tests.python_client.faces import Face
from tests.python_client.proxy import Proxy, proxy_of
from tests.server import Server
from tests.service.conftest import ENDLESS, ROUNDS, Site, until

pytestmark = pytest.mark.process

# Some seconds, in which a server can be restarted.
LONG = {"dataset": "six", "iterations": 30_000, "restarts": 0, "target_error": None}


@pytest.fixture
def proxy(learning_server: Server) -> Iterator[Proxy]:
    with proxy_of(learning_server) as proxy:
        yield proxy


def test_a_request_whose_response_is_lost_has_one_effect(face: Face, proxy: Proxy) -> None:
    client = face(proxy.url)
    ledger = [row.id for row in client.observations()]

    proxy.faults = ["lose", "lose"]
    number = client.observe([0, 1, 0], "stop").id
    assert number
    assert [row.id for row in client.observations()] == [*ledger, number]
    posts = [headers for method, _, headers in proxy.requests if method == "POST"]
    assert len({headers["Idempotency-Key"] for headers in posts}) == 1
    assert len(posts) == 3

    proxy.faults = ["lose"]
    job = client.retrain(**ENDLESS)  # type: ignore[arg-type]
    proxy.faults = ["lose"]
    job.cancel()
    proxy.faults = ["lose"]
    assert client.withdraw(number).withdrawn
    proxy.faults = ["lose"]
    assert client.retrain(dataset="six").id == job.id + 1


def test_a_rollback_is_not_sent_again(face: Face, proxy: Proxy) -> None:
    client = face(proxy.url)
    proxy.faults = ["lose", 503]
    with pytest.raises(UnreachableError, match=r"POST .*/corner/v7/rollback: "):
        client.rollback()
    with pytest.raises(UnavailableError):
        client.rollback()
    assert len(proxy.requests) == 2


def test_a_busy_server_is_asked_again_when_it_says(face: Face, proxy: Proxy) -> None:
    proxy.faults = [502, 503]
    assert face(proxy.url).predict([1, 0, 1]).decision in ("walk", "stop")
    assert len(proxy.requests) == 3
    proxy.faults = [503] * 9
    client = face(proxy.url, retry=Retry(seconds=0.5))
    with pytest.raises(UnavailableError, match="503 to POST"):
        client.predict([1, 0, 1])
    assert len(proxy.requests) == 4


def test_a_slow_server_is_asked_again(face: Face, proxy: Proxy) -> None:
    client = face(proxy.url, timeout=5)
    before = len(list(client.observations()))
    proxy.faults = [1.5, 1.5, 0.0]
    client = face(proxy.url, timeout=0.5)
    assert client.observe([0, 0, 1], "stop").id
    assert len(list(client.observations())) == before + 1


def test_a_stream_that_breaks_is_resumed(face: Face, proxy: Proxy) -> None:
    job = face(proxy.url).retrain(**LONG)  # type: ignore[arg-type]
    proxy.faults = ["break"]
    revisions = [state.revision for state in job.follow(60)]
    assert revisions == sorted(set(revisions))
    resumed = [headers for _, path, headers in proxy.requests if path.endswith("/events")]
    assert len(resumed) >= 2
    assert int(resumed[-1]["Last-Event-ID"]) in revisions


def test_without_streams_the_job_is_polled(face: Face, proxy: Proxy) -> None:
    job = face(proxy.url).retrain(dataset="six")
    proxy.faults = [503, 0.0] * 60
    assert job.wait(60).state == "succeeded"
    polls = [path for _, path, _ in proxy.requests if path == f"/jobs/{job.id}"]
    assert 1 <= len(polls) <= 10


def test_to_wait_for_a_job_ends_in_time_when_the_server_hangs(face: Face, proxy: Proxy) -> None:
    job = face(proxy.url).retrain(**ENDLESS)  # type: ignore[arg-type]
    proxy.faults = [503, 4.0, 4.0]
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"is queued after 0\.5 s"):
        job.wait(timeout=0.5)
    assert time.monotonic() - start < 3
    proxy.faults = []
    job.cancel()


class Faults:
    """Calls `cause` some times in a thread, each time when the server answers; see `over`."""

    def __init__(self, server: Server, cause: Callable[[], object], count: int) -> None:
        def run() -> None:
            for _ in range(count):
                server.wait_until_ready()
                cause()

        self._thread = Thread(target=run)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether there are no more faults."""
        return not self._thread.is_alive()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("faults"), None, workers=2, trainer=True) as site:
        yield site


# Each test adds light states of its own.
SERIES = itertools.count(2)


def add(client: Client, faults: Faults) -> None:
    """Add observations until there are no more faults, and compare them with the ledger."""
    series = next(SERIES)
    added: list[Any] = []
    while not faults.over:
        lights = [len(added), series, 0]
        added.append((client.observe(lights, "stop").id, lights))
    ledger = [(row.id, row.lights) for row in client.observations() if row.lights[1] == series]
    assert ledger == added
    assert added


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_workers_lose_and_double_no_observation(face: Face, site: Site, rounds: int) -> None:
    def kill() -> None:
        for pid in site.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    client = face(site.url, retry=Retry(attempts=50, seconds=60))
    add(client, Faults(site, kill, 2 * rounds))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_restarted_server_loses_and_doubles_nothing_and_finishes_the_job(
    face: Face, site: Site, rounds: int
) -> None:
    def restart() -> None:
        site.stop()
        site.process = site.start()
        site.wait_until_ready()

    client = face(site.url, retry=Retry(attempts=50, seconds=60))
    job: Job = client.retrain(**LONG)  # type: ignore[arg-type]
    faults = Faults(site, restart, rounds)
    revisions = [state.revision for state in job.follow(120)]
    assert revisions == sorted(set(revisions))
    assert client.job(job.id).state == "succeeded"
    assert client.retrain(dataset="six").id == job.id + 1
    until(lambda: faults.over)
    add(client, Faults(site, restart, rounds))
