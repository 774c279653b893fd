"""Benchmark of time and memory against the number of observations and of hidden nodes.

Each point is measured in a new process, `python -m benchmarks.growth <job> <size> <folder>`, so
that its peak memory is its own.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import process_tree, results
from benchmarks.results import Plot, Table
from streetlight.model.dataset import Dataset
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training.fit import (
    TrainingResult,
    gradient_descent,
    initial_network,
    squared_error,
)

OBSERVATIONS = [10**n for n in range(2, 8)]
NODES = [2**n for n in range(2, 13)]
MIN_SECONDS = 0.2
FULL = Recipe(iterations=1, batch_size=None, alpha=1e-3, target_error=None)
ROW_BY_ROW = Recipe(iterations=1, batch_size=1, alpha=1e-3, target_error=None)


def crossings(rows: int) -> Dataset:
    """Return a dataset whose rows all have different light states."""
    lights = np.random.default_rng(0).uniform(0, 1, (rows, 3))
    return Dataset(lights, (lights[:, 1] > 0.5).astype(float))


def network_of(nodes: int) -> Network:
    """Return a network of 3 lights and `nodes` hidden nodes, which may exceed a recipe's bound."""
    random = np.random.default_rng(0)
    shapes = ((3, nodes), (nodes, 1))
    return Network(tuple(random.uniform(-1, 1, shape) / math.sqrt(nodes) for shape in shapes))


def function_of(job: str, size: int, folder: Path) -> Callable[[], object]:
    """Return the function to measure for `job` at `size`."""
    if "nodes" in job:
        network, dataset = network_of(size), crossings(100 if "row by row" in job else 10_000)
    else:
        dataset = crossings(size)
        network = initial_network(dataset, FULL, 1)
    if "scores" in job:
        return lambda: network.scores(dataset.lights)
    if "row by row" in job:
        return lambda: gradient_descent(network, dataset, ROW_BY_ROW)
    if "grouping" in job:
        return dataset.grouped
    if "publishing" in job:
        training = TrainingResult(
            network, FULL, 1, 1, np.zeros(1), squared_error(network, dataset), 1.0
        )
        repository = ModelRepository(folder)
        return lambda: repository.publish(training, dataset, Provenance("lab"))
    return lambda: gradient_descent(network, dataset, FULL)


JOBS: dict[str, Sequence[int]] = {
    "observations: a pass of full descent": OBSERVATIONS,
    "observations: a pass row by row": OBSERVATIONS,
    "observations: grouping them by light state": OBSERVATIONS,
    "observations: publishing the version": OBSERVATIONS,
    "nodes: a pass of full descent over 10,000 rows": NODES,
    "nodes: a pass row by row over 100 rows": NODES,
    "nodes: the scores of 10,000 rows": NODES,
}


def measured(job: str, size: int, folder: Path) -> dict[str, float]:
    """Return the mean seconds of a call, and by how many MiB the first call raised peak memory."""
    function = function_of(job, size, folder)
    process_tree.reset_peak()
    before = process_tree.peak()
    function()
    memory = process_tree.peak() - before
    start, times = time.perf_counter(), 0
    while not times or time.perf_counter() - start < MIN_SECONDS:
        function()
        times += 1
    return {"seconds": (time.perf_counter() - start) / times, "memory": memory}


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope on logarithmic axes over the upper half of the sizes.

    At the lower sizes, constant costs dominate.
    """
    upper = np.log([point for point in points[len(points) // 2 :] if point[1] > 0])
    return float(np.polyfit(upper[:, 0], upper[:, 1], 1)[0]) if len(upper) > 1 else 0.0


def main(folder: Path) -> None:
    """Run the benchmark and write `results/growth.md`."""
    time_rows, memory_rows = [], []
    seconds: dict[str, list[tuple[float, float]]] = {}
    memory: dict[str, list[tuple[float, float]]] = {}
    for job, sizes in JOBS.items():
        for size in sizes:
            command = [sys.executable, "-m", __name__, job, str(size), str(folder)]
            point = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            seconds.setdefault(job, []).append((size, point["seconds"]))
            memory.setdefault(job, []).append((size, max(point["memory"], 0.1)))
            print(job, size, point, flush=True)
        times, peaks = seconds[job], memory[job]
        ends = [f"{times[0][1] * 1e3:,.2f}", f"{times[-1][1] * 1e3:,.0f}"]
        time_rows.append([job, f"{sizes[0]:,} to {sizes[-1]:,}", *ends, f"{exponent(times):.2f}"])
        memory_rows.append([job, f"{peaks[0][1]:,.1f}", f"{peaks[-1][1]:,.1f}"])
    summary = (
        "3 lights, all states different, one thread; a job's time is the mean over at least "
        f"{MIN_SECONDS} s. The exponent is the slope over the upper half of the sizes. Real "
        "observations have few different states, and training after grouping has a row for each."
    )
    plots = [
        Plot(title, kind, unit, curves={j.partition(": ")[2]: c[j] for j in JOBS if kind in j})
        for kind in ("observations", "nodes")
        for title, unit, c in (
            (f"Time against {kind}", "s", seconds),
            (f"Memory against {kind}", "MiB", memory),
        )
    ]
    tables = [
        Table(
            "Time", ["", "sizes", "ms at the smallest", "ms at the largest", "exponent"], time_rows
        ),
        Table("Memory", ["", "MiB at the smallest size", "MiB at the largest"], memory_rows),
    ]
    results.write("growth", "Cost against size", summary, tables, plots)


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
