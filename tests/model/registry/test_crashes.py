"""Processes that die at any moment, and processes that all write at once."""

import os
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training.fit import fit
from tests.model.registry.publishing import (
    SPAWN,
    die_at_every_step,
    promote_many,
    publish,
    publish_for_ever,
    publish_many,
    start,
)

SCORES = fit(LAB, Recipe()).network.scores(LAB.lights)
ROUNDS = int(os.environ.get("STORM_ROUNDS", "25"))
EVERY = 1 if "STORM_ROUNDS" in os.environ else 13


def check(folder: Path) -> int:
    """Only whole versions, a live link that loads, a record that agrees; return how many."""
    repository = ModelRepository(folder)
    numbers = repository.versions()
    assert numbers == list(range(1, len(numbers) + 1))
    for number in numbers:
        assert repository.load(number).network.scores(LAB.lights).tobytes() == SCORES.tobytes()
    live = repository.live()
    if repository.history():
        assert live is not None
    unknown = {path.name for path in folder.iterdir()} - {f"{number}.npz" for number in numbers}
    unknown = {name for name in unknown if not name.startswith(".new-")}
    assert unknown <= {"live", ".live-new", "promotions.jsonl", ".publish.lock", ".promote.lock"}
    return len(numbers)


def check_goes_on(folder: Path) -> None:
    """Whatever the dead left behind, the living can work on, and set the record straight."""
    repository = ModelRepository(folder)
    version = publish(repository)
    repository.promote(version.number)
    assert not list(folder.glob(".new-*"))
    record = repository.history()
    for before, after in pairwise(record):
        assert after.instead_of == before.version
    assert record[-1].version == repository.live_number() == version.number


@pytest.mark.storm
@pytest.mark.timeout(1200)
def test_dying_at_any_step_of_publishing_and_promoting_leaves_only_whole_versions(
    tmp_path: Path,
) -> None:
    """Every call that touches a file is, in turn, the one at which the process is gone."""
    process = start(die_at_every_step, tmp_path, EVERY)
    process.join(1000)
    assert process.exitcode == 0

    folders = list(tmp_path.iterdir())
    assert len(folders) > 50
    published = [check(folder) for folder in folders]
    assert {1, 2} <= set(published)
    for folder in folders[::10]:
        check_goes_on(folder)


@pytest.mark.storm
def test_killing_a_publisher_at_random_leaves_only_whole_versions(tmp_path: Path) -> None:
    folder, moments = tmp_path / "models", random.Random(0)  # noqa: S311 - not for secrets
    for kill in range(ROUNDS):
        ready = tmp_path / f"ready-{kill}"
        process = start(publish_for_ever, folder, ready)
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.join(moments.uniform(0, 0.05))
        process.kill()
        process.join(60)
        check(folder)
    assert check(folder) > 0
    check_goes_on(folder)


def test_many_publishers_at_once_each_get_numbers_of_their_own(tmp_path: Path) -> None:
    together = SPAWN.Barrier(4)
    processes = [start(publish_many, tmp_path, 10, together) for _ in range(4)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0

    assert check(tmp_path) == 40


def test_many_promoters_at_once_keep_one_chain(tmp_path: Path) -> None:
    """Without the lock two would name the same predecessor."""
    repository = ModelRepository(tmp_path)
    for _ in range(5):
        publish(repository)
    together = SPAWN.Barrier(4)
    processes = [start(promote_many, tmp_path, seed, 50, together) for seed in range(1, 5)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0

    record = repository.history()
    assert len(record) > 50
    assert record[0].instead_of is None
    for before, after in pairwise(record):
        assert after.instead_of == before.version
    assert record[-1].version == repository.live_number()


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
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
