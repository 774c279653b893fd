"""What several tests share: how hypothesis runs, and real servers to talk to."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import databases
from tests.server import Server, streetlight

STORM = "STORM_ROUNDS" in os.environ

# The same inputs in each run, but new ones in a storm.
hypothesis.settings.register_profile(
    "project", deadline=None, max_examples=60, derandomize=not STORM
)
hypothesis.settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a storm include the tests whose inputs hypothesis draws."""
    for item in items:
        if STORM and hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.storm)


def pytest_report_header() -> str | None:
    """Say so where PostgreSQL is left out."""
    return None if databases.POSTGRESQL else databases.LEFT_OUT


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with version 1, the lab's, live; for tests that change nothing in it."""
    with Server(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with version 1, the lab's, live."""
    with Server(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two versions: the first is live, the second was; for tests that only ask."""
    with Server(tmp_path_factory.mktemp("two")) as server:
        streetlight("train", "--seed", "5", data_dir=server.data_dir)
        server.post("/versions/1/promote")
        yield server
