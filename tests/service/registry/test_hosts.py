"""Tests of the hosts that share a database."""

import math
import socket
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, text, update

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.learning import presence, queue
from streetlight.service.learning.job import JobSpec
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.state_collector import StateCollector
from streetlight.service.registry import hosts
from streetlight.service.registry.hosts import (
    host_list,
    host_name,
    leave,
    list_hosts,
    report,
    wait_for_hosts,
)
from streetlight.service.registry.rows import PromotionId
from streetlight.service.server.service_events import HostChanges, Hosts
from streetlight.service.store import tables
from streetlight.service.store.engine import open_engine
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.wiring import Services
from tests.client import App
from tests.databases import POSTGRESQL, Cluster
from tests.server import free_port
from tests.service.services import services_in


def promote(engine: Engine, number: int, at: float, version: int = 1) -> PromotionId:
    """Insert a promotion."""
    row = {"id": number, "at": at, "action": "promote", "version": version, "reason": ""}
    with engine.begin() as connection:
        connection.execute(insert(tables.promotions).values(row))
    return PromotionId(number, at)


def seen_before(engine: Engine, name: str, seconds: float) -> None:
    """Let the last report of a host be older."""
    change = update(tables.hosts).values(seen_at=tables.hosts.c.seen_at - seconds)
    with engine.begin() as connection:
        connection.execute(change.where(tables.hosts.c.name == name))


def test_the_name_of_a_host_stays_unless_the_hostname_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = host_name(tmp_path)
    assert name.startswith(socket.gethostname() + "-")
    assert host_name(tmp_path) == name
    monkeypatch.setattr(socket, "gethostname", lambda: "clone")
    clone = host_name(tmp_path)
    assert clone.startswith("clone-")
    assert host_name(tmp_path) == clone


def test_hosts_are_listed_with_what_they_have_applied(shared_engine: Engine) -> None:
    report(shared_engine, "a", None)
    assert [(h.version, h.promotion, h.behind) for h in list_hosts(shared_engine)] == [
        (None, None, False)
    ]
    first = promote(shared_engine, 1, 5.0, version=7)
    report(shared_engine, "b", first)
    a, b = list_hosts(shared_engine)
    assert (a.name, a.behind, a.heard) == ("a", True, True)
    assert (b.name, b.version, b.promotion, b.behind) == ("b", 7, 1, False)
    report(shared_engine, "b", first)
    again = list_hosts(shared_engine)[1]
    assert again.since == b.since
    assert again.seen_at > b.seen_at
    report(shared_engine, "b", promote(shared_engine, 2, 6.0))
    assert list_hosts(shared_engine)[1].since != b.since
    leave(shared_engine, "b")
    assert [host.name for host in list_hosts(shared_engine)] == ["a"]


def test_the_answer_lists_the_hosts_of_the_database(shared_engine: Engine, tmp_path: Path) -> None:
    for name in ("b", "a", "C"):
        report(shared_engine, name, None)
    for after, limit, names, following in (
        ("", 100, ["C", "a", "b"], None),
        ("", 2, ["C", "a"], "a"),
        ("a", 1, ["b"], None),
        ("b", 1, [], None),
    ):
        repository = ModelRepository(tmp_path / "models")
        listed = host_list(shared_engine, repository, tmp_path, after, limit)
        assert listed.answered_by == host_name(tmp_path)
        assert ([host.name for host in listed.hosts], listed.next) == (names, following)


def test_with_sqlite_the_only_host_is_the_one_that_answers(app: App) -> None:
    answer = app.get("/hosts")
    (host,) = answer["hosts"]
    assert answer["answered_by"] == host["name"] == socket.gethostname()
    assert (host["version"], host["promotion"], host["since"]) == (1, None, None)
    assert (host["behind"], host["heard"]) == (False, True)


def test_a_host_is_listed_for_a_day(shared_engine: Engine) -> None:
    for name in "abc":
        report(shared_engine, name, None)
    seen_before(shared_engine, "b", 3600)
    seen_before(shared_engine, "c", 25 * 3600)
    assert [(host.name, host.heard) for host in list_hosts(shared_engine)] == [
        ("a", True),
        ("b", False),
    ]
    report(shared_engine, "a", None)
    with shared_engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM hosts")).scalar() == 2
    # One that was away for long comes back.
    seen_before(shared_engine, "b", 48 * 3600)
    report(shared_engine, "b", None)
    assert len(list_hosts(shared_engine)) == 2


def test_a_promotion_waits_only_for_hosts_that_are_heard(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "WAIT_TIMEOUT", 0.2)
    first, second = promote(shared_engine, 1, 5.0), promote(shared_engine, 2, 6.0)
    report(shared_engine, "current", first)
    report(shared_engine, "later", second)
    assert wait_for_hosts(shared_engine, first) == []
    report(shared_engine, "silent", None)
    report(shared_engine, "gone", None)
    seen_before(shared_engine, "silent", 2)
    seen_before(shared_engine, "gone", 301)
    start = time.monotonic()
    assert wait_for_hosts(shared_engine, first) == ["silent"]
    assert time.monotonic() - start < 0.2
    assert wait_for_hosts(shared_engine, second) == ["current", "silent"]
    assert time.monotonic() - start > 0.2


@pytest.mark.process
@pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL")
def test_a_host_that_has_joined_is_known_after_a_failure_of_the_database() -> None:
    with Cluster(free_port()) as cluster:
        engine = open_engine(cluster.url)
        tables.metadata.create_all(engine)
        report(engine, "a", None)
        cluster.kill()
        cluster.start()
        assert [host.name for host in list_hosts(engine)] == ["a"]
        engine.dispose()


def test_a_promotion_with_an_id_that_came_again_is_another_one(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover that lost commits."""
    monkeypatch.setattr(hosts, "WAIT_TIMEOUT", 0)
    lost = PromotionId(2, 6.0)
    first = promote(shared_engine, 1, 5.0)
    report(shared_engine, "a", lost)
    assert wait_for_hosts(shared_engine, first) == ["a"]
    (host,) = list_hosts(shared_engine)
    assert host.behind
    again = promote(shared_engine, 2, 7.0)
    assert wait_for_hosts(shared_engine, again) == ["a"]
    report(shared_engine, "a", again)
    assert wait_for_hosts(shared_engine, again) == []
    assert wait_for_hosts(shared_engine, lost) == ["a"]  # it isn't in the database


def collect(services: Services) -> dict[str, float]:
    """Return the values of the metrics that are read from the database."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for metric in StateCollector(services).collect()
        for sample in metric.samples
    }


def test_the_metrics_count_the_trainers_of_other_hosts_that_run_jobs(
    shared_url: str, tmp_path: Path
) -> None:
    with services_in(tmp_path, shared_url) as services:
        for owner in ("here", "elsewhere", "killed"):
            queue.submit(services.engine, JobSpec(DEFAULT_RECIPE), None)
            assert acquire_lease(services.engine, owner, 0.001 if owner == "killed" else 60)
        presence.create(tmp_path, "here").touch()
        assert collect(services)["streetlight_trainers"] == 2


def test_the_metrics_count_the_hosts_by_state(shared_url: str, tmp_path: Path) -> None:
    with services_in(tmp_path, shared_url) as services:
        first = promote(services.engine, 1, 5.0)
        for name, applied in {"a": None, "b": first, "c": first, "d": first}.items():
            report(services.engine, name, applied)
        seen_before(services.engine, "d", 2)
        values = collect(services)
    assert values["streetlight_hosts current"] == 2
    assert values["streetlight_hosts behind"] == 1
    assert values["streetlight_hosts silent"] == 1
    assert values["streetlight_follower_age_seconds"] == math.inf  # none has run


def test_with_sqlite_the_host_follows(app: App) -> None:
    text = app.request("GET", "/metrics").data.decode()
    assert 'streetlight_hosts{state="current"} 1.0' in text
    assert "streetlight_follower_age_seconds 0.0" in text


def test_an_event_has_the_hosts_when_another_one_comes_or_its_state_changes(
    shared_engine: Engine,
) -> None:
    changes = HostChanges(shared_engine)
    assert changes.read() == [Hosts([])]
    report(shared_engine, "a", None)
    assert changes.read() == [Hosts(list_hosts(shared_engine))]
    report(shared_engine, "a", None)
    assert changes.read() == []
    first = promote(shared_engine, 1, 5.0)
    assert [host.behind for host in changes.read()[0].hosts] == [True]
    report(shared_engine, "a", first)
    assert [host.behind for host in changes.read()[0].hosts] == [False]
    seen_before(shared_engine, "a", 2)
    assert [host.heard for host in changes.read()[0].hosts] == [False]
    assert changes.read() == []
