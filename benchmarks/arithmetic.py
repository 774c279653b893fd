"""Benchmark of the arithmetic: plain floats and numpy for a row, fixed order and BLAS for many."""

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
    """Return the shortest mean time of a call of `work`, over `repeat` series of calls."""
    timer = timeit.Timer(work)
    number, _ = timer.autorange()
    return min(timer.repeat(repeat, number)) / number


rows: list[list[str]] = []


def compare(
    name: str,
    chosen: Callable[[], object],
    alternative_name: str,
    alternative: Callable[[], object],
) -> None:
    """Add a row with both times, and the ratio of the alternative to the chosen one."""
    a, b = seconds(chosen), seconds(alternative)
    rows.append([name, f"{a * 1e6:,.1f}", alternative_name, f"{b * 1e6:,.1f}", f"{b / a:.2f}"])


def main(folder: Path) -> None:
    """Compare each implementation choice with its alternative; write `results/arithmetic.md`."""
    network = fit(LAB, Recipe()).network
    options = {"weight_decay": 0.0, "l1_penalty": 0.0}
    alphas = [0.2] * len(LAB)
    columns = [list(matrix) for matrix in network.columns]
    states, outcomes = LAB.lights.tolist(), LAB.walk_vs_stop.tolist()
    arrays = [matrix.copy() for matrix in initial_network(LAB, Recipe(), 1).weights]
    compare(
        "stochastic pass over the lab, plain floats",
        lambda: pass_by_rows(columns, states, outcomes, alphas, activation="relu", **options),
        "numpy",
        lambda: pass_by_batches(
            arrays,
            LAB.lights,
            LAB.walk_vs_stop,
            importance=LAB.counts.astype(float),
            bounds=range(len(LAB) + 1),
            alphas=alphas,
            activation="relu",
            **options,
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
        "find the live version, by its link",
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
    summary = (
        "Choices made for speed, or for identical bits at the cost of speed; each figure is the "
        "shortest of five repeats."
    )
    results.write("arithmetic", "Arithmetic", summary, [Table("Alternatives", header, rows)])
