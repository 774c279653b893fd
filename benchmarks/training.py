"""Benchmark of training: against the lab's loop, bare matrix products, PyTorch and scikit-learn.

Each implementation has one thread, the same rows, the same initial weights and the same passes.
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
from benchmarks.contenders import PEERS
from benchmarks.results import Plot, Table
from benchmarks.servers import NotInstalledError, install
from streetlight.model.dataset import LAB, Dataset, FloatArray
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.exact_products import EXACT_BLOCK_ROWS
from streetlight.model.training.fit import gradient_descent, initial_network

ROUNDS = 7
STREETLIGHT, LOOP, BARE = "Streetlight", "the lab's loop", "the bare matrix products"
OTHERS = ("PyTorch, float64", "PyTorch, float32", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A training that every implementation runs; `name` identifies it in tables and in files."""

    name: str
    title: str
    dataset: Dataset
    recipe: Recipe

    @cached_property
    def network(self) -> Network:
        """The network with the initial weights."""
        return initial_network(self.dataset, self.recipe, self.recipe.seed)

    @property
    def times(self) -> int:
        """The number of trainings per measurement, which should take at least 10 ms."""
        return 50 if self.name == "lab" else 1

    @property
    def batch_size(self) -> int:
        """The number of rows per update."""
        return self.recipe.batch_size or len(self.dataset)


def runs() -> list[Run]:
    """Return the lab's run, and runs of 100,000 rows, 64 lights and 256 hidden nodes."""
    lights = np.random.default_rng(0).uniform(0, 1, (100_000, 64))
    many = Dataset(lights, (lights.sum(axis=1) > 32).astype(float))
    large = Recipe(hidden_sizes=(256,), alpha=1e-4, iterations=1, batch_size=None)
    small_batches = Recipe(hidden_sizes=(256,), alpha=1e-4, iterations=1, batch_size=256)
    return [
        Run("lab", "The lab's run: 4 rows, 3-4-1, 60 passes, row by row", LAB, Recipe()),
        Run("full", "100,000 rows, 64-256-1, one pass of full descent", many, large),
        Run("mini", "100,000 rows, 64-256-1, one pass in batches of 256", many, small_batches),
    ]


def lab_loop(run: Run) -> tuple[FloatArray, ...]:
    """Train as the lab does, with numpy's `dot` row by row, and return the weights."""
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
    """Compute only the matrix products of one pass, in the blocks that training uses."""
    first, second = run.network.weights
    lights = run.dataset.lights
    for start in range(0, len(lights), min(EXACT_BLOCK_ROWS, run.batch_size)):
        layer_0 = lights[start : start + min(EXACT_BLOCK_ROWS, run.batch_size)]
        layer_1 = layer_0 @ first
        layer_2 = layer_1 @ second
        layer_1.T @ layer_2
        layer_0.T @ layer_1


def seconds(act: Callable[[], object], times: int) -> float:
    """Return the mean time of `times` calls of `act`, in seconds."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - start) / times


@contextmanager
def others(folder: Path, requested: list[Run]) -> Iterator[Callable[[str, str], float]]:
    """Start PyTorch and scikit-learn in their environment; yield a function that times a run."""
    arrays: dict[str, Any] = {}
    for run in requested:
        block = min(EXACT_BLOCK_ROWS, run.batch_size)
        options = (run.recipe.iterations, run.batch_size, block, run.recipe.alpha)
        run_arrays: dict[str, Any] = {
            "lights": run.dataset.lights / run.network.scale,
            "walk_vs_stop": run.dataset.walk_vs_stop,
            "options": options,
            **run.network.named_weights,
        }
        arrays |= {f"{run.name}_{name}": array for name, array in run_arrays.items()}
    np.savez(folder / "runs.npz", **arrays)
    with subprocess.Popen(
        [install("training") / "python", PEERS / "training_app.py", folder / "runs.npz"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def time_run(library: str, run: str) -> float:
            print(json.dumps({"library": library, "run": run}), file=process.stdin, flush=True)
            return float(process.stdout.readline() if process.stdout else "nan")

        try:
            yield time_run
        finally:
            process.terminate()


def measured(run: Run, time_run: Callable[[str, str], float] | None) -> dict[str, float]:
    """Return the median seconds of each implementation, measured in turns."""
    times: dict[str, list[float]] = {}
    ours: dict[str, Callable[[], object]] = {
        STREETLIGHT: lambda: gradient_descent(run.network, run.dataset, run.recipe)
    }
    baseline = (
        {LOOP: lambda: lab_loop(run)} if run.name == "lab" else {BARE: lambda: bare_products(run)}
    )
    for _ in range(ROUNDS):
        for name, act in (ours | baseline).items():
            times.setdefault(name, []).append(seconds(act, run.times))
        if time_run:
            for name in OTHERS:
                times.setdefault(name, []).append(time_run(name, run.name))
    return {name: statistics.median(values) for name, values in times.items()}


def table(run: Run, times: dict[str, float]) -> Table:
    """Return a table of the times of a run, the shortest first."""
    rows = [
        [name, f"{times[name] * 1e3:,.2f}", f"{times[name] / times[STREETLIGHT]:.2f}"]
        for name in sorted(times, key=times.__getitem__)
    ]
    note = ""
    if run.name == "lab":
        network, _ = gradient_descent(run.network, run.dataset, run.recipe)
        pairs = zip(network.weights, lab_loop(run), strict=True)
        difference = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
        note = f"Our weights differ from those of the lab's loop by at most {difference:.1g}."
    return Table(run.title, ["", "ms", "against ours"], rows, note)


def main(folder: Path) -> None:
    """Run the benchmark and write `results/training.md`."""
    all_runs, times, missing = runs(), {}, ""
    try:
        with others(folder, all_runs) as time_run:
            times = {run.name: measured(run, time_run) for run in all_runs}
    except NotInstalledError as error:
        missing = f" PyTorch and scikit-learn could not be installed: {error}"
        times = {run.name: measured(run, None) for run in all_runs}
    nan = float("nan")
    ratios = [
        (
            "the lab's run, against the lab's loop",
            times["lab"][LOOP] / times["lab"][STREETLIGHT],
            "7",
        ),
        *(
            (f"{title}, {against}", times[run].get(name, nan) / times[run][STREETLIGHT], aim)
            for run, title in (("full", "full descent"), ("mini", "batches of 256"))
            for against, name, aim in (
                ("against the bare products", BARE, "0.7"),
                ("against PyTorch in float64", OTHERS[0], "1.5"),
                ("against PyTorch in float32", OTHERS[1], ""),
            )
        ),
    ]
    goals = Table(
        "Ratios",
        ["time of the other, against ours", "ratio", "aim: at least"],
        [[name, f"{ratio:.2f}", aim] for name, ratio, aim in ratios],
    )
    summary = (
        "Each implementation has the same rows, initial weights and passes, and one thread; "
        f"medians of {ROUNDS} rounds, in turns. The bare products are the forward and the backward "
        f"pass in the same blocks of {EXACT_BLOCK_ROWS} rows, without relu, sums or updates. "
        f"{results.peers('training')}"
    )
    tables = [table(run, times[run.name]) for run in all_runs]
    plots = [
        Plot(
            run.title,
            "milliseconds",
            bars={name: seconds * 1e3 for name, seconds in times[run.name].items()},
            marked=STREETLIGHT,
        )
        for run in all_runs
    ]
    results.write("training", "Training, side by side", summary + missing, [goals, *tables], plots)
