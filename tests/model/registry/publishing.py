"""What the tests of the repository do in processes of their own, so that these can be killed."""

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
    """Publish the lab's version."""
    return repository.publish(training or fit(LAB, Recipe()), LAB, Provenance("lab"))


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Run `target` in a process of its own."""
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    return process


def publish_for_ever(folder: Path, ready: Path) -> None:
    """Publish, promote and roll back until killed."""
    repository, training = ModelRepository(folder), fit(LAB, Recipe())
    ready.touch()
    while True:
        _one_round(repository, training)


def _one_round(repository: ModelRepository, training: TrainingResult) -> None:
    version = publish(repository, training)
    repository.promote(version.number)
    repository.promote(1)
    repository.promote(version.number)
    repository.rollback()


def die_at_every_step(folder: Path, every: int) -> None:
    """Do the round again and again, each in a process that is gone at the next step.

    A step is the moment before or after a call that touches a file: whatever Python's `os`, `io`
    and `fcntl` do. The last process lives to the end; how many there were is in `steps`.
    """
    training = fit(LAB, Recipe())
    for at in itertools.count(1, every):
        repository = ModelRepository(folder / str(at))
        publish(repository, training)
        repository.promote(1)
        if not (child := os.fork()):
            sys.setprofile(_Death(at))
            _one_round(repository, training)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return


class _Death:
    def __init__(self, at: int) -> None:
        self.steps_left = at

    def __call__(self, _frame: object, event: str, function: object) -> None:
        if not event.startswith("c_"):
            return
        on_file = isinstance(getattr(function, "__self__", None), io.IOBase)
        if on_file or getattr(function, "__module__", None) in ("posix", "fcntl", "_io", "io"):
            self.steps_left -= 1
            if not self.steps_left:
                os._exit(9)


def publish_many(folder: Path, count: int, together: Barrier) -> None:
    """Publish `count` versions, all processes at once."""
    repository, training = ModelRepository(folder), fit(LAB, Recipe())
    together.wait(60)
    for _ in range(count):
        publish(repository, training)


def promote_many(folder: Path, seed: int, count: int, together: Barrier) -> None:
    """Promote one version after another, and roll back now and then, all processes at once."""
    repository = ModelRepository(folder)
    numbers = repository.versions()
    together.wait(60)
    for i in range(count):
        if i % 5 == 4:
            try:
                repository.rollback()
            except NothingToRollBackToError:
                continue
        else:
            repository.promote(numbers[(i * seed) % len(numbers)])
