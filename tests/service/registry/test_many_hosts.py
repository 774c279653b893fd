"""Servers, trainers and PostgreSQL on hosts of their own, which fail as wholes and lose packets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import many_hosts
from tests.databases import POSTGRESQL
from tests.hosts import Installation
from tests.network import needs_root

pytestmark = [
    pytest.mark.process,
    pytest.mark.storm,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL"),
    needs_root,
]

ROUNDS = min(30, int(os.environ.get("STORM_ROUNDS", "3")))
HOUR = 3600


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Three servers that started at the same time on an empty database, and two trainers."""
    with Installation(tmp_path_factory.mktemp("hosts"), trainers=2) as installation:
        yield installation


def test_the_first_hosts_train_one_version(installation: Installation) -> None:
    answers = [site.get(many_hosts.PATH) for site in installation.sites]
    assert answers == [answers[0]] * 3
    assert installation.database.query("SELECT number FROM versions") == [["1"]]
    assert len(installation.database.query("SELECT id FROM promotions")) == 1
    many_hosts.check(installation)


def test_no_host_answers_by_the_former_version_after_a_promotion(
    installation: Installation,
) -> None:
    switches = many_hosts.switches(installation, 2 * ROUNDS)
    assert sum(switch.stale for switch in switches) == 0
    many_hosts.check(installation)


@pytest.mark.parametrize("fault", [many_hosts.stopped_follower, many_hosts.partition])
def test_a_promotion_names_the_host_that_cannot_follow(
    installation: Installation, fault: many_hosts.Fault
) -> None:
    many_hosts.cut_off(installation, fault)


def test_a_promotion_that_names_no_host_holds_on_each(installation: Installation) -> None:
    many_hosts.promotions_beside_faults(installation, ROUNDS)


def test_a_killed_follower_is_replaced(installation: Installation) -> None:
    many_hosts.killed_follower(installation)


def test_a_host_with_an_empty_folder_starts_with_the_live_version(
    installation: Installation,
) -> None:
    many_hosts.cold_host_without_database(installation)
    many_hosts.cold_host(installation)


def test_jobs_survive_the_end_of_hosts(installation: Installation) -> None:
    many_hosts.jobs_under_kills(installation, jobs=2 * ROUNDS, kills=ROUNDS)


def test_the_clocks_of_hosts_may_differ(installation: Installation) -> None:
    hosts = [installation.host(clock=HOUR), installation.host(clock=-HOUR)]
    installation.start(*hosts)
    many_hosts.different_clocks(installation)


def test_a_number_that_comes_again_after_a_failover_is_another_version(tmp_path: Path) -> None:
    with Installation(tmp_path, 2, trainers=1, standby=True) as installation:
        many_hosts.lost_commit(installation)
