"""Tests of hosts with folders of their own that share a database: real servers, real followers."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.server import DEADLINE, streetlight
from tests.service.conftest import Site, until

pytestmark = pytest.mark.process

EXAMPLE = {"lights": [1, 0, 1]}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    """Two hosts, and two versions."""
    if not databases.POSTGRESQL:
        pytest.skip("needs PostgreSQL")
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        url = stack.enter_context(databases.fresh("postgresql"))
        first = stack.enter_context(Site(folder / "a", url))
        second = stack.enter_context(Site(folder / "b", url))
        job = first.retrain(iterations=10, promote="never")
        first.trainer()
        first.wait_until_finished(job)
        yield first, second


@pytest.fixture
def sites(both: tuple[Site, Site]) -> tuple[Site, Site]:
    """Two hosts, which answer by version 1."""
    until(lambda: current(both[1]) == [True, True])
    promote(both[0], 1)
    return both


def current(site: Site) -> list[bool]:
    """Return for each host whether it is heard and has applied the last promotion."""
    return [host["heard"] and not host["behind"] for host in site.get("/hosts")["hosts"]]


def name(site: Site) -> str:
    """Return the name of a host."""
    return str(site.get("/hosts")["answered_by"])


def promote(site: Site, version: int) -> Any:
    """Promote a version, and return the hosts that lag."""
    return site.post(f"/versions/{version}/promote").get("lagging")


def restart(site: Site) -> None:
    """Start a server again that has ended."""
    site.process = site.start()
    site.wait_until_ready()


def metric(site: Site, metric: str) -> float:
    """Return the value of a metric."""
    lines = site.request("GET", "/metrics").data.decode().splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(metric)))


def test_all_hosts_answer_by_a_promotion_that_is_answered(sites: tuple[Site, Site]) -> None:
    first, second = sites
    for version in (2, 1, 2):
        assert promote(first, version) is None
        for site in sites:
            assert site.post("/predict", EXAMPLE)["version"] == version
    assert "lagging" not in first.post("/rollback")
    assert second.post("/predict", EXAMPLE)["version"] == 1
    assert second.post("/v2/repository/models/streetlight/unload") == {
        "name": "streetlight",
        "load": False,
    }
    first.expect(503, "POST", "/predict", EXAMPLE)
    assert [host["version"] for host in first.get("/hosts")["hosts"]] == [None, None]


def test_a_host_that_stops_leaves_and_one_that_is_killed_is_named(
    sites: tuple[Site, Site],
) -> None:
    first, second = sites
    names = {name(first), name(second)}
    killed = name(second)
    os.killpg(second.process.pid, signal.SIGKILL)
    assert promote(first, 2) == [killed]
    hosts = first.get("/hosts")
    assert {host["name"] for host in hosts["hosts"]} == names
    assert metric(first, 'streetlight_hosts{state="silent"}') == 1
    restart(second)
    until(lambda: current(first) == [True, True])
    assert second.post("/predict", EXAMPLE)["version"] == 2
    os.killpg(second.process.pid, signal.SIGINT)  # Ctrl-C in a terminal
    assert second.process.wait(DEADLINE) == 0
    assert "the follower exited" not in second.log.read_text()
    assert {host["name"] for host in first.get("/hosts")["hosts"]} == {name(first)}
    assert promote(first, 1) is None
    restart(second)


def test_a_follower_that_is_killed_is_replaced(sites: tuple[Site, Site]) -> None:
    first, second = sites
    pid = until(second.follower)
    os.kill(pid, signal.SIGKILL)
    second.wait_for_log("the follower exited with status -9; starting another one in 0.5 s")
    until(lambda: second.follower() not in (None, pid))
    until(lambda: current(second) == [True, True])
    assert promote(first, 2) is None
    assert second.post("/predict", EXAMPLE)["version"] == 2


def test_a_follower_that_is_stopped_is_named_and_shown(sites: tuple[Site, Site]) -> None:
    first, second = sites
    pid = until(second.follower)
    os.kill(pid, signal.SIGSTOP)
    assert promote(first, 2) == [name(second)]
    assert second.post("/predict", EXAMPLE)["version"] == 1

    def missing() -> Any:
        ready = second.get("/readyz")
        return ready if ready.get("missing") == ["follower"] else None

    ready = until(missing)
    assert ready["version"] == 1
    assert ready["since"] > "2026"
    assert 2 < metric(second, "streetlight_follower_age_seconds") < 60
    assert metric(first, "streetlight_follower_age_seconds") == 0
    run = streetlight("promote", "2", data_dir=first.data_dir, database_url=first.database)
    assert run.returncode == 0
    assert run.stdout == "version 2 is live already\n"
    assert run.stderr == f"hosts that have not applied this yet: {name(second)}\n"
    os.kill(pid, signal.SIGCONT)
    until(lambda: second.get("/readyz") == {"status": "ok", "version": 2})
    assert current(first) == [True, True]


def test_hosts_without_the_database_say_since_when(sites: tuple[Site, Site]) -> None:
    for site in sites:
        until(lambda site=site: site.get("/readyz") == {"status": "ok", "version": 1})  # type: ignore[misc]
    with databases.outage(sites[0].database):
        for site in sites:
            until(lambda site=site: site.get("/readyz").get("missing") == ["database"])  # type: ignore[misc]
            assert site.get("/readyz")["since"] > "2026"
            assert site.post("/predict", EXAMPLE)["version"] == 1
    for site in sites:
        until(lambda site=site: site.get("/readyz") == {"status": "ok", "version": 1})  # type: ignore[misc]
    for log in (site.log.read_text() for site in sites):
        assert log.count("can't follow the promotions") == 1


def test_a_cold_host_is_ready_when_it_has_the_live_version(
    both: tuple[Site, Site], tmp_path: Path
) -> None:
    """Without the database it isn't, and says why."""
    promote(both[0], 2)
    site = Site(tmp_path / "c", both[0].database)
    site.health = "/livez"
    with ExitStack() as stack:
        with databases.outage(both[0].database):
            stack.enter_context(site)
            reason = "no version is live on this host: the database has not answered since 20"
            until(lambda: reason in site.request("GET", "/readyz").data.decode())
            site.expect(503, "GET", "/readyz")
            site.expect(503, "POST", "/predict", EXAMPLE)
        until(lambda: site.request("GET", "/readyz").status == 200)
        assert site.post("/predict", EXAMPLE)["version"] == 2
        until(lambda: current(site) == [True, True, True])
        assert promote(both[0], 1) is None
        assert site.post("/predict", EXAMPLE)["version"] == 1
        site.stop()
