"""What several tests share: tiers, how hypothesis runs, and services to talk to."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from streetlight.service.config.settings import PREFIX
from tests import databases, tiers
from tests.client import App
from tests.server import ForkedServer, Server

STORM = "STORM_ROUNDS" in os.environ

# The same inputs in each run, but new ones in a storm.
hypothesis.settings.register_profile(
    "project", deadline=None, max_examples=60, derandomize=not STORM
)
hypothesis.settings.load_profile("project")


def pytest_report_header() -> str | None:
    """Say so where PostgreSQL is left out."""
    return None if databases.POSTGRESQL else databases.LEFT_OUT


# The tests of these files share nothing; those of any other file share servers.
SPREAD = ("tests/test_docs.py", "tests/service/cli/test_serve.py", "tests/service/observability/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let a process run all tests of a file, unless they share nothing."""

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(SPREAD) else nodeid.partition("::")[0]

    return ByFile(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    """In a storm, add the tests whose inputs hypothesis draws."""
    if STORM and isinstance(item, pytest.Function) and hypothesis.is_hypothesis_test(item.obj):
        item.add_marker("storm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest."""
    items.sort(key=lambda item: item.get_closest_marker("process") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold each test to its tier."""
    with tiers.enforced(item):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the settings of the environment, and of a file `.env` in the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("working_directory"))
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The application with version 1, the lab's, live; for tests that change nothing in it."""
    with App(tmp_path_factory.mktemp("shared_app")) as app:
        yield app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An application of the test's own, with version 1, the lab's, live."""
    with App(tmp_path) as app:
        yield app


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Two versions: the first is live, the second was; for tests that only ask."""
    with App(tmp_path_factory.mktemp("two_app")) as app:
        app.train("--seed", "5")
        app.post("/versions/1/promote")
        yield app


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with version 1, the lab's, live; for tests that change nothing in it."""
    with ForkedServer(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with version 1, the lab's, live."""
    with ForkedServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def two_versions_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two versions, as in `two_versions`."""
    with ForkedServer(tmp_path_factory.mktemp("two")) as server:
        server.train("--seed", "5")
        server.post("/versions/1/promote")
        yield server
