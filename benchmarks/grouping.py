"""Simulation of what a training should make of repeated light states: group, count or keep them.

Each simulated ledger has three dimmed lights, a true rule, and outcomes that partly contradict it.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks import results
from benchmarks.results import Table
from streetlight.model.dataset import Dataset, FloatArray, is_walk
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import gradient_descent, initial_network

LEDGERS = 24
# Every combination of five levels of three lights, without the dark one.
STATES = np.array(list(product(np.linspace(0, 1, 5), repeat=3)))[1:]
SIZES = (60, 400)
# The state of rank r has a probability proportional to r to the power of minus this.
SKEWS = (0, 1, 2)
NOISE = (0.05, 0.3)

RECIPES = {
    "Stochastic descent": Recipe(hidden_sizes=(8,), iterations=200),
    "Batches of 16": Recipe(hidden_sizes=(8,), iterations=200, batch_size=16),
    "Full descent": Recipe(hidden_sizes=(8,), iterations=1000, batch_size=None),
}
KEPT = "rows kept"
ONCE = "grouped, each state once"
COUNTED = "grouped, with counts"
ROWS: dict[str, Callable[[Dataset], Dataset]] = {
    KEPT: lambda rows: rows,
    ONCE: lambda rows: replace(rows.grouped(), counts=np.empty(0, np.int64)),
    COUNTED: Dataset.grouped,
}


@dataclass(frozen=True)
class Ledger:
    """The observations, and for each of `STATES` its probability and that of walk."""

    observations: Dataset
    probability: FloatArray
    walks: FloatArray

    def shortfall(self, scores: FloatArray) -> float:
        """Return the accuracy on new observations below the best possible one, in points."""
        correct = np.where(is_walk(scores), self.walks, 1 - self.walks)
        best = np.maximum(self.walks, 1 - self.walks)
        return float(100 * (self.probability * (best - correct)).sum())


def draw(random: np.random.Generator, size: int, skew: int) -> Ledger:
    """Return a random ledger; half of the rules are a random network, half an exclusive or."""
    probability = random.permutation(np.arange(1.0, len(STATES) + 1) ** -skew)
    probability /= probability.sum()
    if random.random() < 0.5:
        walk = (STATES[:, 0] > 0.5) != (STATES[:, 1] > 0.5)
    else:
        shape = Dataset(STATES, np.zeros(len(STATES)))
        scores = initial_network(shape, Recipe(), int(random.integers(2**31))).scores(STATES)
        walk = scores > np.median(scores)
    noise = random.uniform(*NOISE)
    walks = np.where(walk, 1 - noise, noise)
    states = random.choice(len(STATES), size, p=probability)
    outcomes = (random.random(size) < walks[states]).astype(float)
    return Ledger(Dataset(STATES[states], outcomes), probability, walks)


def simulate(recipe: Recipe, size: int, skew: int) -> Iterator[tuple[str, list[str]]]:
    """Yield, for each way to take the rows, the mean shortfall and the time of a training."""
    shortfalls: dict[str, list[float]] = {name: [] for name in ROWS}
    seconds = dict.fromkeys(ROWS, 0.0)
    for seed in range(LEDGERS):
        ledger = draw(np.random.default_rng([size, skew, seed]), size, skew)
        for name, take in ROWS.items():
            rows = take(ledger.observations)
            start = time.process_time()
            network, _ = gradient_descent(initial_network(rows, recipe, seed), rows, recipe)
            seconds[name] += time.process_time() - start
            shortfalls[name].append(ledger.shortfall(network.scores(STATES)))
    for name, values in shortfalls.items():
        against = np.array(values) - np.array(shortfalls[COUNTED])
        error = against.std(ddof=1) / math.sqrt(LEDGERS)
        difference = "" if name == COUNTED else f"{against.mean():+.1f} ± {error:.1f}"
        milliseconds = 1000 * seconds[name] / LEDGERS
        yield name, [f"{np.mean(values):.1f}", difference, f"{milliseconds:,.0f}"]


def main(_folder: Path) -> None:
    """Run the simulation and write `results/grouping.md`."""
    header = ["observations", "skew", "rows", "points below the best", "against counts", "ms"]
    tables = [
        Table(
            name,
            header,
            [
                [str(size), str(skew), how, *cells]
                for size in SIZES
                for skew in SKEWS
                for how, cells in simulate(recipe, size, skew)
            ],
        )
        for name, recipe in RECIPES.items()
    ]
    results.write(
        "grouping",
        "Repeated light states, simulated",
        f"{LEDGERS} ledgers for each number of observations and each skew, from "
        f"{len(STATES)} states of three dimmed lights; a skew of 0 draws all states equally often, "
        f"one of 2 draws one state in {(1 / np.arange(1, len(STATES) + 1) ** 2).sum():.1f} "
        f"observations. {NOISE[0]:.0%} to {NOISE[1]:.0%} of the outcomes contradict the true rule. "
        "Eight hidden nodes, alpha 0.2, one run of 200 passes (full descent: 1,000), no target "
        "error. The figures are the accuracy on new observations below that of the best possible "
        "decisions, in percentage points (lower is better), its mean difference to that of grouped "
        "rows with counts and the standard error, and the processor time of a training. The seeds "
        "are fixed.",
        tables,
    )
