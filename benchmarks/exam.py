"""Simulation of the gate: how often it promotes a challenger that is worse on fresh observations.

Each simulated ledger has dimmed lights, a true rule, and outcomes of which some contradict the
rule. The champion has learnt from the first observations, the challenger also from later ones.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import results
from benchmarks.results import Table
from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.evaluation import evaluate_pair, mcnemar_p, wilson_interval
from streetlight.model.exam import MIN_EXAM
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit, initial_network

LEDGERS = 500
LIGHTS = (3, 10)
FRESH = 20_000
# The number of observations that the champion has learnt from, and of those that came later.
FIRST, LATER = (30, 200), (150, 400)
NOISE = (0.05, 0.3)
# The default exam, and the bound of the policy `better`, as in `service.learning.gate`.
SHARE, SIGNIFICANCE = 0.2, 0.05
EXAM_SIZES = (30, 100, 300, 1_000, 10_000)
SAME, OTHER, LARGE = "the champion's recipe", "another recipe", "many nodes and passes"

Rule = Callable[[FloatArray], NDArray[np.bool_]]


@dataclass(frozen=True)
class Challenger:
    """A challenger, compared with the champion.

    Attributes:
        kind: how its recipe was chosen.
        gain: its accuracy on fresh observations, minus the champion's.
        optimism: its accuracy on the observations that it learnt from, minus that on others.
        wins: for each set of observations, the number that only the champion decides correctly,
            and the number that only the challenger does.
    """

    kind: str
    gain: float
    optimism: float
    wins: Mapping[object, tuple[int, int]]

    def not_worse(self, observations: object) -> bool:
        """Return whether it has at least as many of `observations` right as the champion."""
        champion, challenger = self.wins[observations]
        return challenger >= champion

    def passes(self, observations: object) -> bool:
        """Return whether the policy `not_worse` promotes it, with `observations` as the exam."""
        return self.better(observations) or (
            self.not_worse(observations) and self.not_worse("learnt")
        )

    def better(self, observations: object) -> bool:
        """Return whether McNemar's test shows that it has more of `observations` right."""
        champion, challenger = self.wins[observations]
        return challenger > champion and mcnemar_p(champion, challenger) < SIGNIFICANCE


def draw_rule(random: np.random.Generator, light_count: int) -> Rule:
    """Return a true rule: one light, one of two lights but not both, or a network with relu."""
    kind, level = random.integers(3), random.uniform(0.3, 0.7)
    if kind == 0:
        return lambda lights: lights[:, 1] > level
    if kind == 1:
        return lambda lights: (lights[:, 0] > level) != (lights[:, 1] > level)
    shape = Dataset(np.ones((1, light_count)), np.ones(1))
    teacher = initial_network(shape, Recipe(hidden_sizes=(4,)), int(random.integers(2**31)))
    # The median splits the states evenly, so that no decision is right for nearly all of them.
    middle = np.median(teacher.scores(random.uniform(0, 1, (FRESH, light_count))))
    return lambda lights: teacher.scores(lights) > middle


def draw_recipe(random: np.random.Generator) -> Recipe:
    """Return a random recipe."""
    sizes: Sequence[tuple[int, ...]] = ((), (4,), (8,), (16,), (8, 8))
    return Recipe(
        hidden_sizes=sizes[int(random.integers(len(sizes)))],
        iterations=int(random.choice((30, 100, 200))),
        alpha=float(random.choice((0.01, 0.05, 0.2))),
        restarts=0,
        target_error=None,  # outcomes that contradict the rule keep the error above any target
    )


def draw_recipes(random: np.random.Generator) -> tuple[str, Recipe, Recipe]:
    """Return how the challenger's recipe is chosen, the champion's recipe and the challenger's."""
    champion, other = draw_recipe(random), draw_recipe(random)
    large = replace(champion, hidden_sizes=(24,), iterations=200, alpha=0.2)
    kind = str(random.choice((SAME, SAME, OTHER, LARGE)))
    challenger = {SAME: champion, OTHER: other, LARGE: large}[kind]
    first, second = (int(seed) for seed in random.integers(2**31, size=2))
    return kind, replace(champion, seed=first), replace(challenger, seed=second)


def part(rows: Dataset, start: int, stop: int) -> Dataset:
    """Return the rows from `start` to `stop`."""
    return Dataset(rows.lights[start:stop], rows.walk_vs_stop[start:stop])


def simulate(light_count: int, seed: int) -> tuple[Challenger, Challenger]:
    """Return the challenger that learnt from all rows, and the one without those of the exam."""
    random = np.random.default_rng([light_count, seed])
    rule, noise = draw_rule(random, light_count), random.uniform(*NOISE)
    first, later = (int(np.exp(random.uniform(*np.log(span)))) for span in (FIRST, LATER))
    total = first + later

    def draw(count: int, noise: float) -> Dataset:
        lights = random.uniform(0, 1, (count, light_count))
        return Dataset(lights, rule(lights) != (random.uniform(0, 1, count) < noise))

    ledger, fresh, further = draw(total, noise), draw(FRESH, 0.0), draw(max(EXAM_SIZES), noise)
    end = total - max(int(SHARE * later), MIN_EXAM)
    kind, recipe, new_recipe = draw_recipes(random)
    champion = fit(part(ledger, 0, first), recipe).network

    def compare(learnt: Dataset, exam: Dataset) -> Challenger:
        training = fit(learnt, new_recipe)
        sets: dict[object, Dataset] = {"learnt": learnt, "exam": exam, "fresh": fresh}
        sets |= {size: part(further, 0, size) for size in EXAM_SIZES}
        compared = {
            name: evaluate_pair(
                champion.scores(rows.lights), training.network.scores(rows.lights), rows
            )
            for name, rows in sets.items()
        }
        unseen, unlearnt = compared["fresh"], compared[max(EXAM_SIZES)]
        return Challenger(
            kind,
            unseen.challenger.accuracy - unseen.champion.accuracy,
            training.accuracy - unlearnt.challenger.accuracy,
            {name: (pair.only_champion, pair.only_challenger) for name, pair in compared.items()},
        )

    exam = part(ledger, end, total)
    return compare(ledger, exam), compare(part(ledger, 0, end), exam)


def share(count: int, total: int) -> str:
    """Return a share with its Wilson interval."""
    low, high = wilson_interval(count, total)
    rate = f"{count / total:.0%}" if total else "none"
    return f"{count} of {total}: {rate} ({low:.0%} to {high:.0%})"


Gate = tuple[str, Sequence[Challenger], Callable[[Challenger], bool]]


def rows(gates: Sequence[Gate]) -> Iterator[list[str]]:
    """Yield a row for each gate: the wrong promotions, the wrong refusals, and the result."""
    for name, challengers, promotes in gates:
        worse = [promotes(one) for one in challengers if one.gain < 0]
        much_worse = [promotes(one) for one in challengers if one.gain < -0.01]
        better = [promotes(one) for one in challengers if one.gain > 0]
        live = math.fsum(one.gain for one in challengers if promotes(one)) / len(challengers)
        yield [
            name,
            share(sum(worse), len(worse)),
            share(sum(much_worse), len(much_worse)),
            share(better.count(False), len(better)),
            f"{100 * live:+.1f}",
        ]


def tables(light_count: int, pairs: Sequence[tuple[Challenger, Challenger]]) -> list[Table]:
    """Return the tables of the ledgers with `light_count` lights."""
    of_all, without = ([pair[i] for pair in pairs] for i in (0, 1))
    header = [
        "",
        "worse challengers promoted",
        "more than 1 point worse, promoted",
        "better challengers refused",
        "points gained by the live version",
    ]

    def gates(kind: str = "") -> list[Gate]:
        first, second = ([one for one in of if kind in one.kind] for of in (of_all, without))
        return [
            ("the former gate", first, lambda one: one.not_worse("learnt")),
            ("the exam alone", second, lambda one: one.not_worse("exam")),
            ("`not_worse`", second, lambda one: one.passes("exam")),
            ("`better`", second, lambda one: one.better("exam")),
        ]

    by_kind = [
        [kind, f"{100 * sum(one.optimism for one in known) / len(known):.1f}", gate, *cells[:1]]
        for kind in (SAME, OTHER, LARGE)
        if (known := [one for one in of_all if one.kind == kind])
        for gate, *cells in rows(gates(kind))
    ]
    by_size = [
        (f"{size:,} observations, `{policy}`", without, promotes)
        for size in EXAM_SIZES
        for policy, promotes in (
            ("not_worse", lambda one, size=size: one.passes(size)),
            ("better", lambda one, size=size: one.better(size)),
        )
    ]
    always: Gate = ("no gate", of_all, lambda _one: True)
    lights = f"{light_count} lights"
    return [
        Table(f"{lights}: the gates", header, list(rows([always, *gates()]))),
        Table(
            f"{lights}: by the challenger's recipe",
            ["challenger", "optimism", "gate", header[1]],
            by_kind,
            "The optimism is the accuracy of the challenger on the observations that it learnt "
            "from, minus that on others, in points: the error of the former gate's measure.",
        ),
        Table(
            f"{lights}: by the size of the exam",
            header,
            list(rows(by_size)),
            "The challengers of the exam above, judged on further observations in its place.",
        ),
    ]


def main(_folder: Path) -> None:
    """Run the simulation and write `results/exam.md`."""
    with ProcessPoolExecutor() as pool:
        simulated = {
            lights: list(pool.map(simulate, [lights] * LEDGERS, range(LEDGERS)))
            for lights in LIGHTS
        }
    summary = (
        f"{LEDGERS} simulated ledgers with 3 lights and {LEDGERS} with 10, each light a uniform "
        "number from 0 to 1. The true rule is one light above a level, one of two lights but not "
        f"both above it, or a random 4-node network with relu. {NOISE[0]:.0%} to {NOISE[1]:.0%} of "
        "the outcomes contradict the rule. The champion has learnt from the first "
        f"{FIRST[0]} to {FIRST[1]} observations; {LATER[0]} to {LATER[1]} came later. The "
        "challenger has the champion's recipe (half of the ledgers), another one (a quarter), or "
        "24 hidden nodes, 200 passes and alpha 0.2 (a quarter); no target error, one run.\n\n"
        "The former gate trained the challenger on all observations, and promoted it if its "
        "accuracy on them was at least the champion's. The exam holds back a fifth of the later "
        f"ones, at least {MIN_EXAM}; the challenger learns from the others. `not_worse` requires "
        "that it is not worse than the champion on the exam, nor on what it has learnt; `better` "
        f"requires a p-value below {SIGNIFICANCE:g} on the exam, which alone also suffices for "
        "`not_worse`.\n\n"
        f"A challenger is worse if it decides fewer of {FRESH:,} fresh states as the rule does; "
        "outcomes that contradict the rule would leave the order of the two as it is. Intervals "
        "are Wilson's, for 95 %. The last column is the mean difference to the champion's accuracy "
        "on fresh states, 0 where it stays live. "
        "The seeds are fixed: each run gives the same figures."
    )
    results.write(
        "exam",
        "The gate, simulated",
        summary,
        [table for lights, pairs in simulated.items() for table in tables(lights, pairs)],
    )
