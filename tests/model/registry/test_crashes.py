"""Tests of the repository with processes that are killed and with concurrent processes."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry import integrity
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training.fit import fit
from tests.model.bits import assert_same_bits
from tests.model.registry.publishing import (
    SPAWN,
    exit_at_every_step,
    promote_many,
    publish,
    publish_many,
    publish_until_killed,
    start,
)

pytestmark = pytest.mark.process

SCORES = fit(LAB, Recipe()).network.scores(LAB.lights)
ROUNDS = int(os.environ.get("STORM_ROUNDS", "25"))
STEP_INTERVAL = 1 if "STORM_ROUNDS" in os.environ else 13


def check(folder: Path) -> int:
    """Assert that every version is complete, the live one loads and no other files are left.

    Return the number of versions.
    """
    repository = ModelRepository(folder)
    numbers = repository.versions()
    for number in numbers:
        assert_same_bits(repository.load(number).network.scores(LAB.lights), SCORES)
    violations: list[str] = []
    integrity.check(repository, violations.append)
    assert violations == []
    if repository.promotions():
        assert repository.live_number()
    unknown = {path.name for path in folder.iterdir()} - {f"{number}.npz" for number in numbers}
    unknown = {name for name in unknown if not name.startswith(".new-")}
    links = {"live", ".live-new", "newest", ".newest-new"}
    assert unknown <= links | {"promotions.jsonl", ".publish.lock", ".promote.lock"}
    return len(numbers)


def check_recovers(folder: Path) -> None:
    """Assert that the next process can publish and promote, and that it completes the log."""
    repository = ModelRepository(folder)
    version = publish(repository)
    repository.promote(version.number)
    assert not list(folder.glob(".new-*"))
    check(folder)
    assert repository.promotions()[-1].version == repository.live_number() == version.number


@pytest.mark.storm
@pytest.mark.timeout(1200)
def test_a_crash_while_publishing_or_promoting_leaves_only_complete_versions(
    tmp_path: Path,
) -> None:
    """The process exits before or after each call that touches a file, one after another."""
    process = start(exit_at_every_step, tmp_path, STEP_INTERVAL)
    process.join(1000)
    assert process.exitcode == 0

    folders = list(tmp_path.iterdir())
    assert len(folders) > 50
    published = [check(folder) for folder in folders]
    assert {1, 2} <= set(published)
    for folder in folders[::10]:
        check_recovers(folder)


@pytest.mark.storm
def test_killing_a_publisher_at_random_leaves_only_complete_versions(tmp_path: Path) -> None:
    folder, delays = tmp_path / "models", random.Random(0)  # noqa: S311 - not for secrets
    for attempt in range(ROUNDS):
        ready = tmp_path / f"ready-{attempt}"
        process = start(publish_until_killed, folder, ready)
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.join(delays.uniform(0, 0.05))
        process.kill()
        process.join(60)
        check(folder)
    assert check(folder) > 0
    check_recovers(folder)


def test_concurrent_publishers_get_different_numbers(tmp_path: Path) -> None:
    barrier = SPAWN.Barrier(4)
    processes = [start(publish_many, tmp_path, 10, barrier) for _ in range(4)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0

    assert check(tmp_path) == 40
    assert ModelRepository(tmp_path).versions() == list(range(1, 41))


def test_concurrent_promotions_form_one_chain(tmp_path: Path) -> None:
    """Without the lock two promotions would replace the same version."""
    repository = ModelRepository(tmp_path)
    for _ in range(5):
        publish(repository)
    barrier = SPAWN.Barrier(4)
    processes = [start(promote_many, tmp_path, seed, 50, barrier) for seed in range(1, 5)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0

    check(tmp_path)
    log = repository.promotions()
    assert len(log) > 50
    assert log[-1].version == repository.live_number()


def test_a_lock_is_released_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from streetlight.model.registry.repository import ModelRepository\n"
        "with ModelRepository(pathlib.Path(sys.argv[1])).lock('promote'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    publish(ModelRepository(tmp_path))

    ModelRepository(tmp_path).promote(1)

    assert ModelRepository(tmp_path).live_number() == 1
