"""Services in the process of a test, with a temporary ledger, and versions for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from streetlight.model.dataset import LAB, Dataset
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance, describe
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import TrainingResult
from streetlight.service.config.settings import Settings
from streetlight.service.wiring import Services, build_services, initialize_ledger


@contextmanager
def services_in(data_dir: Path, database_url: str | None, **settings: Any) -> Iterator[Services]:
    """Yield services with a ledger in `data_dir` or at `database_url`."""
    services = build_services(Settings(data_dir=data_dir, database_url=database_url, **settings))
    initialize_ledger(services)
    services.ledger_ready.set()
    yield services
    services.engine.dispose()


def training(
    *weights: float, dataset: Dataset = LAB, error: float = 0.0, target_error: float | None = None
) -> TrainingResult:
    """Return a training whose result is the two-layer network with these weights."""
    network = Network((np.array([[weight] for weight in weights]),))
    recipe = Recipe(hidden_sizes=(), target_error=target_error)
    accuracy = (
        1.0
        if len(weights) != dataset.light_count
        else dataset.accuracy(network.scores(dataset.lights))
    )
    return TrainingResult(network, recipe, 1, 1, np.array([error]), error, accuracy)


def version(
    number: int, *weights: float, error: float = 0.0, target_error: float | None = None
) -> Version:
    """Return a version in memory, of the two-layer network with these weights."""
    result = training(*weights, error=error, target_error=target_error)
    dataset = Dataset(np.eye(len(weights)), np.zeros(len(weights)))
    manifest = replace(describe(result, dataset, Provenance("test")), version=number)
    return Version(Path(f"{number}.npz"), manifest, result.network)


def publish_network(models: Path, sizes: Sequence[int], rows: int = 4) -> None:
    """Publish and promote a random network of these sizes, as if `rows` rows had trained it."""
    random, shapes = np.random.RandomState(0), zip(sizes, [*sizes[1:], 1], strict=True)
    network = Network(tuple(random.randn(*shape) / shape[0] for shape in shapes))
    lights = random.randint(0, 2, (rows, sizes[0])).astype(np.float64)
    dataset = Dataset(lights, lights[:, 0])
    recipe = Recipe(hidden_sizes=tuple(sizes[1:]), target_error=None)
    result = TrainingResult(network, recipe, 1, 1, np.array([0.0]), 0.0, 1.0)
    repository = ModelRepository(models)
    repository.promote(repository.publish(result, dataset, Provenance("test")).number)
