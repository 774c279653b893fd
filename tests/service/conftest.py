"""What the tests of the service share: databases of each kind, and sites that are broken."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from sqlalchemy import Engine

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training_job import main as training_job
from streetlight.service.config.settings import Settings
from streetlight.service.wiring import build_services
from tests import databases
from tests.client import invoke
from tests.conftest import STORM
from tests.server import DEADLINE, ForkedServer, environment
from tests.service.services import services_in

T = TypeVar("T")

# How often a test tries what it tries once in an ordinary run.
ROUNDS = [1, pytest.param(int(os.environ.get("STORM_ROUNDS", "10")), marks=pytest.mark.storm)]

# A job that runs until somebody ends it.
ENDLESS = {"iterations": 1_000_000, "restarts": 1000, "target_error": 0}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a database with each kind; one with the mark `embedded`, with SQLite."""
    if "database_kind" in metafunc.fixturenames:
        embedded = metafunc.definition.get_closest_marker("embedded")
        metafunc.parametrize("database_kind", ["sqlite"] if embedded else databases.KINDS)


@pytest.fixture
def database_url(database_kind: str) -> Iterator[str | None]:
    """An empty database of the test's own; `None` is the default."""
    with databases.fresh(database_kind) as url:
        yield url


@pytest.fixture
def shared_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL database; without a server, the test is skipped."""
    if not databases.POSTGRESQL:
        pytest.skip("needs PostgreSQL")
    with databases.fresh("postgresql") as url:
        assert url
        yield url


@pytest.fixture
def engine(tmp_path: Path, database_url: str | None) -> Iterator[Engine]:
    """An engine on an empty ledger."""
    with services_in(tmp_path, database_url, start_empty=True) as services:
        yield services.engine


def until(holds: Callable[[], T | None], seconds: float = DEADLINE) -> T:
    """Wait until `holds` returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"still not after {seconds} s"
        time.sleep(0.02)
    return found


def run_hypothesis(test: Callable[..., None], examples: int) -> None:
    """Run a Hypothesis test, with the same inputs each time, but with new ones in a storm."""
    hypothesis.settings(
        max_examples=examples,
        derandomize=not STORM,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(test)()


class Trainer:
    """A `streetlight work` of its own, which may be killed."""

    def __init__(self, log: Path, first: str = "", **settings: object) -> None:
        self.log = log
        command = ["-m", "streetlight", "work"]
        if first:
            command = ["-c", f"{first}\nfrom streetlight.service.cli import main\nmain()", "work"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=environment(**settings),
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def has_logged(self, text: str) -> bool:
        """Return whether the log contains `text`."""
        return text in self.log.read_text()

    @property
    def stopped(self) -> bool:
        """Whether a signal has stopped it."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(") ")[2].startswith("T")

    def kill(self) -> None:
        """Let it be gone."""
        self.process.kill()
        self.process.wait(DEADLINE)


class Site(ForkedServer):
    """A server with a database, and as many trainers as a test starts."""

    def __init__(self, data_dir: Path, database_url: str | None, **settings: object) -> None:
        data_dir.mkdir(exist_ok=True)
        if database_url:
            settings["database_url"] = database_url
        super().__init__(data_dir, **{"job_lease": 1, **settings})
        self.database = database_url or Settings(data_dir=data_dir).database
        self.services = build_services(Settings(data_dir=data_dir, database_url=database_url))
        self.trainers: list[Trainer] = []

    def __exit__(self, *_exception: object) -> None:
        self.services.engine.dispose()
        for trainer in self.trainers:
            trainer.kill()
        self.pool.close()
        # Whole, and at once: what an orderly end is like has tests of its own.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)

    @property
    def repository(self) -> ModelRepository:
        """The versions and promotions as they are now."""
        self.services.repository.follow()
        return self.services.repository

    def train(self, *options: str) -> None:
        """Run the training job on the versions of the service, in this process."""
        repository = self.repository
        folder = repository.folder
        assert training_job(options, "streetlight train", folder, lambda _: repository) == 0

    def trainer(self, first: str = "") -> Trainer:
        """Start one more trainer, which runs the code in `first` before it begins."""
        log = self.data_dir / f"trainer-{len(self.trainers)}.log"
        self.trainers.append(Trainer(log, first, **self.settings))
        return self.trainers[-1]

    def workers(self) -> list[int]:
        """The processes that answer requests."""
        started = set(re.findall(r"Booting worker with pid: (\d+)", self.log.read_text()))
        return [int(pid) for pid in self._children() if pid in started]

    def follower(self) -> int | None:
        """The process that applies the promotions of other hosts; `None` while there is none."""
        others = set(map(int, self._children())) - set(self.workers())
        return max(others, default=None)

    def _children(self) -> list[str]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return children.read_text().split()

    def retrain(self, **body: object) -> int:
        """Queue a job."""
        return int(self.expect(202, "POST", "/retrain", body)["id"])

    def job(self, number: int) -> Any:
        """Return a job."""
        return self.get(f"/jobs/{number}")

    def jobs(self) -> list[Any]:
        """Return all jobs, oldest first."""
        found: list[Any] = []
        page = self.get("/jobs")
        found += page["jobs"]
        while page["next"]:
            page = self.get(f"/jobs?after={page['next']}")
            found += page["jobs"]
        return found[::-1]

    def wait_for_progress(self, number: int) -> Any:
        """Wait until a job stores new progress, and return the job."""
        before = self.job(number)["revision"]

        def with_progress() -> Any:
            job = self.job(number)
            return job["progress"] and job["revision"] > before and job

        job = until(with_progress)
        assert job["state"] == "running"
        return job

    def wait_until_started(self, number: int) -> None:
        """Wait until a job is no longer queued."""
        until(lambda: self.job(number)["state"] != "queued")

    def wait_until_finished(self, number: int) -> Any:
        """Wait until a job has finished, and return it."""
        until(lambda: self.job(number)["state"] not in ("queued", "running"), 90)
        return self.job(number)

    def check(self) -> None:
        """Fail if `streetlight check` finds a violation in the data."""
        run = invoke("check", data_dir=self.data_dir, database_url=self.database)
        assert run.returncode == 0, run.stdout + run.stderr

    def observations(self) -> list[Any]:
        """Return what came in through the API."""
        found: list[Any] = []
        after: int | None = 0
        while after is not None:
            page = self.get(f"/observations?source=api&limit=1000&after={after}")
            found += page["observations"]
            after = page["next"]
        return found
