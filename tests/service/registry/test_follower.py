"""Tests of the follower, with a repository that only fails or hangs as a test says."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from streetlight.service.registry.follower import Follower, Problem, find_problem
from streetlight.service.registry.hosts import list_hosts
from streetlight.service.registry.rows import PromotionId
from streetlight.service.registry.shared_repository import SharedRepository
from tests.service.conftest import until


class Repository(SharedRepository):
    """Follows at once, fails, or hangs."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        super().__init__(folder, engine)
        self.error: Exception | None = None
        self.applied: PromotionId | None = None
        self.responds = threading.Event()
        self.responds.set()
        self.polls = 0

    def follow(self) -> PromotionId | None:
        self.polls += 1
        self.responds.wait()
        if self.error:
            raise self.error
        return self.applied


@contextmanager
def following(repository: Repository) -> Iterator[None]:
    """Run a follower until the end of the block."""
    stopping = threading.Event()
    thread = threading.Thread(target=Follower(repository, repository.folder).run, args=[stopping])
    thread.start()
    yield
    stopping.set()
    thread.join()


def missing(data_dir: Path) -> str:
    """Return what the workers of the host report as missing."""
    problem = find_problem(data_dir)
    return problem.missing if problem else ""


def test_a_follower_reports_what_it_has_applied_until_it_stops(
    shared_engine: Engine, tmp_path: Path
) -> None:
    repository = Repository(tmp_path, shared_engine)
    repository.responds.clear()  # it copies many versions
    with following(repository):
        until(lambda: list_hosts(shared_engine))
        repository.responds.set()
        with shared_engine.begin() as connection:
            connection.execute(text("INSERT INTO promotions VALUES (1, 5.0, 'promote', 3, 2, '')"))
        repository.applied = PromotionId(1, 5.0)
        until(lambda: [h.version for h in list_hosts(shared_engine)] == [3])
        until(lambda: find_problem(tmp_path) is None)
    assert not list_hosts(shared_engine)


def test_the_workers_learn_why_a_follower_fails(
    shared_engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = Repository(tmp_path, shared_engine)
    assert str(find_problem(tmp_path)).endswith("no promotion yet; its log says why")
    with following(repository):
        until(lambda: not missing(tmp_path))
        repository.error = OperationalError("SELECT", {}, Exception("gone"))
        until(lambda: missing(tmp_path) == "database")
        problem = find_problem(tmp_path)
        assert problem
        assert str(problem).startswith("the database has not answered since 20")
        repository.error = OSError(28, "No space left on device")
        until(lambda: missing(tmp_path) == "follower")
        assert find_problem(tmp_path) == Problem("follower", problem.since)
        repository.error = None
        until(lambda: not missing(tmp_path))
        repository.responds.clear()
        until(lambda: missing(tmp_path) == "database")
        repository.responds.set()
        until(lambda: not missing(tmp_path))
    first, second = caplog.messages
    assert "can't follow the promotions: the database can't be used: gone" in first
    assert "No space left on device" in second


def test_a_new_follower_knows_since_when_the_database_is_away(
    shared_engine: Engine, tmp_path: Path
) -> None:
    repository = Repository(tmp_path, shared_engine)
    repository.error = OperationalError("SELECT", {}, Exception("gone"))
    (tmp_path / "follower").touch()
    os.utime(tmp_path / "follower", (1e9, 1e9))
    assert find_problem(tmp_path) == Problem("follower", 1e9)
    for _ in range(2):
        with following(repository):
            until(lambda: find_problem(tmp_path) == Problem("database", 1e9))
