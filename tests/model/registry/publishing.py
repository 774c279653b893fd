"""Functions that the tests of the repository run in separate processes, which can be killed."""

import io
import itertools
import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository, NothingToRollBackToError
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import TrainingResult, fit

SPAWN = get_context("spawn")


def publish(repository: ModelRepository, training: TrainingResult | None = None) -> Version:
    """Publish a training on the lab's data, by default with the default recipe."""
    return repository.publish(training or fit(LAB, Recipe()), LAB, Provenance("lab"))


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process that calls `target` with `arguments`."""
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    return process


def publish_until_killed(folder: Path, ready: Path) -> None:
    """Create the file `ready`, then publish, promote and roll back in an endless loop."""
    repository, training = ModelRepository(folder), fit(LAB, Recipe())
    ready.touch()
    while True:
        _publish_and_promote(repository, training)


def _publish_and_promote(repository: ModelRepository, training: TrainingResult) -> None:
    version = publish(repository, training)
    repository.promote(version.number)
    repository.promote(1)
    repository.promote(version.number)
    repository.rollback()


def exit_at_every_step(folder: Path, every: int) -> None:
    """Publish and promote in one process after another, each of which exits one step later.

    A step is the moment before or after a call of Python's `os`, `io` or `fcntl`. Each process has
    its own folder, named after its step, and starts with version 1 live. Only every `every`-th step
    is tested. The function returns when a process completes.
    """
    training = fit(LAB, Recipe())
    for step in itertools.count(1, every):
        repository = ModelRepository(folder / str(step))
        publish(repository, training)
        repository.promote(1)
        if not (child := os.fork()):
            sys.setprofile(ExitAtStep(step))
            _publish_and_promote(repository, training)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return


class ExitAtStep:
    """Ends the process before or after a call of `os`, `io` or `fcntl`, counted from 1."""

    def __init__(self, step: int) -> None:
        self.steps_left = step

    def __call__(self, _frame: object, event: str, function: object) -> None:
        if not event.startswith("c_"):
            return
        on_file = isinstance(getattr(function, "__self__", None), io.IOBase)
        if on_file or getattr(function, "__module__", None) in ("posix", "fcntl", "_io", "io"):
            self.steps_left -= 1
            if not self.steps_left:
                os._exit(9)


def publish_many(folder: Path, count: int, barrier: Barrier) -> None:
    """Wait for the other processes, then publish `count` versions."""
    repository, training = ModelRepository(folder), fit(LAB, Recipe())
    barrier.wait(60)
    for _ in range(count):
        publish(repository, training)


def promote_many(folder: Path, seed: int, count: int, barrier: Barrier) -> None:
    """Wait for the other processes, then promote or, every fifth time, roll back `count` times."""
    repository = ModelRepository(folder)
    numbers = repository.versions()
    barrier.wait(60)
    for i in range(count):
        if i % 5 == 4:
            try:
                repository.rollback()
            except NothingToRollBackToError:
                continue
        else:
            repository.promote(numbers[(i * seed) % len(numbers)])
