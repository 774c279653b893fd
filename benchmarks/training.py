"""Training: the lab's run and larger ones, against the lab's loop, the bare products, and others.

Everyone has one thread, the same rows, the same start and the same passes.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.contenders import PEERS, NotInstalledError, install
from benchmarks.results import Plot, Table
from streetlight.model.dataset import LAB, Dataset, FloatArray
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.exact_products import BLOCK_ROWS
from streetlight.model.training.fit import gradient_descent, initial_network

ROUNDS = 7
OURS, LOOP, BARE = "Streetlight", "the lab's loop", "the bare matrix products"
OTHERS = ("PyTorch, float64", "PyTorch, float32", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A training that everyone is asked for."""

    what: str
    title: str
    dataset: Dataset
    recipe: Recipe

    @cached_property
    def network(self) -> Network:
        """The start."""
        return initial_network(self.dataset, self.recipe, self.recipe.seed)

    @property
    def times(self) -> int:
        """How often it is made to be timed once: so often that it takes some hundredths."""
        return 50 if self.what == "lab" else 1

    @property
    def batch_size(self) -> int:
        """How many rows move the weights at once."""
        return self.recipe.batch_size or len(self.dataset)


def runs() -> list[Run]:
    """Return what is measured: the lab, and 100,000 rows of 64 lights on 256 nodes."""
    lights = np.random.default_rng(0).uniform(0, 1, (100_000, 64))
    many = Dataset(lights, (lights.sum(axis=1) > 32).astype(float))
    large = Recipe(hidden_sizes=(256,), alpha=1e-4, iterations=1, batch_size=None)
    small_batches = Recipe(hidden_sizes=(256,), alpha=1e-4, iterations=1, batch_size=256)
    return [
        Run("lab", "The lab's run: 4 rows, 3-4-1, 60 passes, row by row", LAB, Recipe()),
        Run("full", "100,000 rows, 64-256-1, one pass of full descent", many, large),
        Run("mini", "100,000 rows, 64-256-1, one pass in batches of 256", many, small_batches),
    ]


def lab_s_loop(run: Run) -> tuple[FloatArray, ...]:
    """Train as the lab does: numpy's `dot`, row by row."""
    weights_0_1, weights_1_2 = (matrix.copy() for matrix in run.network.weights)
    lights, alpha = run.dataset.lights, run.recipe.alpha
    for _ in range(run.recipe.iterations):
        error = 0.0
        for i in range(len(lights)):
            layer_0 = lights[i : i + 1]
            layer_1 = np.dot(layer_0, weights_0_1)
            layer_1 = (layer_1 > 0) * layer_1
            layer_2 = np.dot(layer_1, weights_1_2)
            layer_2_delta = run.dataset.walk_vs_stop[i : i + 1] - layer_2
            error += np.sum(layer_2_delta**2)
            layer_1_delta = layer_2_delta.dot(weights_1_2.T) * (layer_1 > 0)
            weights_1_2 += alpha * layer_1.T.dot(layer_2_delta)
            weights_0_1 += alpha * layer_0.T.dot(layer_1_delta)
    return weights_0_1, weights_1_2


def bare_products(run: Run) -> None:
    """Multiply the matrices of one pass, in the same blocks, and do nothing else."""
    first, second = run.network.weights
    lights = run.dataset.lights
    for start in range(0, len(lights), min(BLOCK_ROWS, run.batch_size)):
        layer_0 = lights[start : start + min(BLOCK_ROWS, run.batch_size)]
        layer_1 = layer_0 @ first
        layer_2 = layer_1 @ second
        layer_1.T @ layer_2
        layer_0.T @ layer_1


def seconds(act: Callable[[], object], times: int) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - start) / times


@contextmanager
def others(folder: Path, asked: list[Run]) -> Iterator[Callable[[str, str], float]]:
    """Start PyTorch and scikit-learn in their environment, and give what asks them for a run."""
    arrays: dict[str, Any] = {}
    for run in asked:
        block = min(BLOCK_ROWS, run.batch_size)
        how = (run.recipe.iterations, run.batch_size, block, run.recipe.alpha)
        lights = run.dataset.lights / run.network.scale
        told: dict[str, Any] = {
            "lights": lights,
            "walk_vs_stop": run.dataset.walk_vs_stop,
            "how": how,
        }
        arrays |= {f"{run.what}_{k}": v for k, v in (told | run.network.named_weights).items()}
    np.savez(folder / "runs.npz", **arrays)
    with subprocess.Popen(
        [install("training") / "python", PEERS / "training_app.py", folder / "runs.npz"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def ask(who: str, what: str) -> float:
            print(json.dumps({"who": who, "what": what}), file=process.stdin, flush=True)
            return float(process.stdout.readline() if process.stdout else "nan")

        try:
            yield ask
        finally:
            process.terminate()


def measured(run: Run, ask: Callable[[str, str], float] | None) -> dict[str, float]:
    """Return the median seconds of each, taken turn by turn."""
    took: dict[str, list[float]] = {}
    ours: dict[str, Callable[[], object]] = {
        OURS: lambda: gradient_descent(run.network, run.dataset, run.recipe)
    }
    floor = (
        {LOOP: lambda: lab_s_loop(run)} if run.what == "lab" else {BARE: lambda: bare_products(run)}
    )
    for _ in range(ROUNDS):
        for name, act in (ours | floor).items():
            took.setdefault(name, []).append(seconds(act, run.times))
        if ask:
            for name in OTHERS:
                took.setdefault(name, []).append(ask(name, run.what))
    return {name: statistics.median(times) for name, times in took.items()}


def table(run: Run, took: dict[str, float]) -> Table:
    """Return a table, the quickest first."""
    rows = [
        [name, f"{took[name] * 1e3:,.2f}", f"{took[name] / took[OURS]:.2f}"]
        for name in sorted(took, key=took.__getitem__)
    ]
    said = ""
    if run.what == "lab":
        network, _ = gradient_descent(run.network, run.dataset, run.recipe)
        same = zip(network.weights, lab_s_loop(run), strict=True)
        apart = max(float(np.abs(ours - theirs).max()) for ours, theirs in same)
        said = f"Our weights and those of the lab's loop are at most {apart:.1g} apart."
    return Table(run.title, ["", "ms", "against ours"], rows, said)


def main(folder: Path) -> None:
    """Measure, and write `results/training.md`."""
    asked, took, missing = runs(), {}, ""
    try:
        with others(folder, asked) as ask:
            took = {run.what: measured(run, ask) for run in asked}
    except NotInstalledError as error:
        missing = f" PyTorch and scikit-learn could not be installed: {error}"
        took = {run.what: measured(run, None) for run in asked}
    nan = float("nan")
    ratios = [
        ("the lab's run, against the lab's loop", took["lab"][LOOP] / took["lab"][OURS], "7"),
        *(
            (f"{title}, {than}", took[what].get(name, nan) / took[what][OURS], aim)
            for what, title in (("full", "full descent"), ("mini", "batches of 256"))
            for than, name, aim in (
                ("against the bare products", BARE, "0.7"),
                ("against PyTorch in float64", OTHERS[0], "1.5"),
                ("against PyTorch in float32", OTHERS[1], ""),
            )
        ),
    ]
    goals = Table(
        "Ratios",
        ["how much quicker we are", "ratio", "aim: at least"],
        [[name, f"{ratio:.2f}", aim] for name, ratio, aim in ratios],
    )
    said = (
        f"The same rows, start and passes for everyone, one thread each; medians of {ROUNDS} "
        f"rounds, turn by turn. The bare products are the forward and the backward pass in the "
        f"same blocks of {BLOCK_ROWS} rows, without relu, sums or updates. "
        f"{results.peers('training')}"
    )
    tables = [table(run, took[run.what]) for run in asked]
    plots = [
        Plot(
            run.title,
            "milliseconds",
            bars={name: seconds * 1e3 for name, seconds in took[run.what].items()},
            marked=OURS,
        )
        for run in asked
    ]
    results.write("training", "Training, side by side", said + missing, [goals, *tables], plots)
