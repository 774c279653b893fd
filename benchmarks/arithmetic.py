"""The arithmetic: plain floats against numpy for one row, fixed order against BLAS for many."""

import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import results
from benchmarks.results import Table
from streetlight.model.dataset import LAB
from streetlight.model.network import forward
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training.descent import pass_by_batches
from streetlight.model.training.fit import fit, initial_network
from streetlight.model.training.row_pass import pass_by_rows

ROWS = 1_000_000


def seconds(work: Callable[[], object], repeat: int = 5) -> float:
    """Return the shortest time that `work` takes, out of enough calls to be measured."""
    timer = timeit.Timer(work)
    number, _ = timer.autorange()
    return min(timer.repeat(repeat, number)) / number


rows: list[list[str]] = []


def compare(
    what: str, ours: Callable[[], object], other: str, theirs: Callable[[], object]
) -> None:
    """Add both times to the table, and the ratio of the other to ours."""
    a, b = seconds(ours), seconds(theirs)
    rows.append([what, f"{a * 1e6:,.1f}", other, f"{b * 1e6:,.1f}", f"{b / a:.2f}"])


def main(folder: Path) -> None:
    """Compare each choice that was made for speed, or in spite of it, with its alternative."""
    network = fit(LAB, Recipe()).network
    step = {"alpha": 0.2, "weight_decay": 0.0}
    columns = [list(matrix) for matrix in network.columns]
    states, outcomes = LAB.lights.tolist(), LAB.walk_vs_stop.tolist()
    arrays = [matrix.copy() for matrix in initial_network(LAB, Recipe(), 1).weights]
    compare(
        "stochastic pass over the lab, plain floats",
        lambda: pass_by_rows(columns, states, outcomes, activation="relu", **step),
        "numpy",
        lambda: pass_by_batches(
            arrays, LAB.lights, LAB.walk_vs_stop, batch_size=1, activation="relu", **step
        ),
    )
    compare(
        "one score, plain floats",
        lambda: network.score([1.0, 0.0, 1.0]),
        "numpy",
        lambda: network.scores(LAB.lights[:1]),
    )
    repository = ModelRepository(folder)
    repository.publish(fit(LAB, Recipe()), LAB, Provenance("lab"))
    repository.promote(1)
    compare(
        "ask which version is live, by its link",
        repository.live,
        "load it",
        lambda: repository.load(1),
    )
    lights = np.random.default_rng(0).uniform(0, 1, (ROWS, 3))

    def with_blas() -> object:
        return np.maximum(lights @ network.weights[0], 0) @ network.weights[1]

    compare(
        f"{ROWS:,} scores, in fixed order and blocks",
        lambda: network.scores(lights),
        "BLAS",
        with_blas,
    )
    compare(
        f"{ROWS:,} scores, in blocks",
        lambda: network.scores(lights),
        "at once",
        lambda: forward(network.weights, lights, "relu"),
    )
    header = ["", "us", "the alternative", "us", "ratio"]
    said = "Choices that were made for speed, or in spite of it; the least of five repeats each."
    results.write("arithmetic", "Arithmetic", said, [Table("Alternatives", header, rows)])
