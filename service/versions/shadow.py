"""Compare a version with the logged predictions: which decisions would it have changed?

`comparison` compares two versions on all light states.
"""

import heapq
import json
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from streetlight.model.dataset import Outcome, is_walk
from streetlight.model.registry.version import Version
from streetlight.service.inference.limits import Cost
from streetlight.service.inference.prediction import PIECE
from streetlight.service.prediction_log import traffic
from streetlight.service.prediction_log.traffic import Patterns
from streetlight.service.store.timestamp import Timestamp

# The changes that are listed.
MAX_CHANGES = 100
# The light states that are scored at a time.
MAX_BLOCK = 10_000
# The time that reading a prediction takes from other requests, in multiplications.
PREDICTION_MULTIPLICATIONS = 200

NAMES: tuple[Outcome, Outcome] = ("stop", "walk")


@dataclass(frozen=True)
class ShadowChange:
    """A light state that the version would have decided differently.

    `predictions` is how often it got the decision `was`, the last time at `last_at`, from
    `versions`.
    """

    lights: list[float]
    was: Outcome
    now: Outcome
    predictions: int
    last_at: Timestamp
    versions: list[int]


@dataclass
class Shadow:
    """What would have changed if `version` had made the logged predictions.

    `predictions` is the number of predictions that were compared, of `patterns` different light
    states. `changed` of them, the `share`, would have got the other decision; `changes` lists the
    first 100 of `changed_patterns`, the most frequent first. `incomparable` predictions have
    another number of lights, or lights too large for the version. The predictions that were read
    are those from `first_at` to `last_at`; if `complete` is false, these are the newest 1,000,000.
    """

    version: int
    predictions: int = 0
    patterns: int = 0
    changed: int = 0
    changed_patterns: int = 0
    share: float = 0.0
    incomparable: int = 0
    complete: bool = True
    first_at: Timestamp | None = None
    last_at: Timestamp | None = None
    changes: list[ShadowChange] = field(default_factory=list)


def compare_with_log(
    log: Engine, version: Version, since: float, check: Callable[[Cost], None] = lambda _cost: None
) -> Shadow:
    """Return what would have changed if `version` had made the logged predictions since a time.

    Args:
        log: the engine of the prediction log.
        version: the version to compare.
        since: the time in seconds since 1970.
        check: called with the cost that is known, and again as more is known; may raise an error.
    """
    count = traffic.count(log, since)
    check(Cost(count * PREDICTION_MULTIPLICATIONS))
    result = Shadow(version.number, complete=count <= traffic.MAX_PREDICTIONS)
    weights = version.network.weight_count
    blocks = traffic.patterns(log, since, min(MAX_BLOCK, 1 + PIECE // weights))
    result.changes = heapq.nlargest(
        MAX_CHANGES,
        _changes(result, version, blocks, lambda states: check(Cost(states * weights))),
        key=lambda change: (change.predictions, change.last_at),
    )
    result.share = result.changed / max(result.predictions, 1)
    return result


def _changes(
    result: Shadow, version: Version, blocks: Iterator[Patterns], check: Callable[[int], None]
) -> Iterator[ShadowChange]:
    """Yield what the version decides differently, and count everything in `result`.

    `check` is called with the number of light states, before they are scored.
    """
    states, previous = 0, ""
    for block in blocks:
        states += len(block.lights)
        check(states)
        lights = json.loads(f"[{','.join(block.lights)}]")
        now = _decisions(version, lights)
        counts, comparable = np.array(block.predictions), now >= 0
        result.incomparable += int(counts[~comparable].sum())
        result.predictions += int(counts[comparable].sum())
        new = np.fromiter(map(operator.ne, block.lights, (previous, *block.lights)), bool)
        result.patterns += int(new[comparable].sum())
        previous = block.lights[-1]
        result.first_at = min(result.first_at or math.inf, *block.first_at)
        result.last_at = max(result.last_at or 0.0, *block.last_at)
        changed = comparable & (now != np.array(block.decision))
        result.changed += int(counts[changed].sum())
        result.changed_patterns += int(changed.sum())
        rows = np.flatnonzero(changed)
        most_frequent = rows[np.lexsort((np.array(block.last_at)[rows], counts[rows]))]
        for i in most_frequent[-MAX_CHANGES:].tolist():
            yield ShadowChange(
                lights[i],
                NAMES[block.decision[i]],
                NAMES[now[i]],
                block.predictions[i],
                block.last_at[i],
                sorted(map(int, block.versions[i].split(","))),
            )


def _decisions(version: Version, lights: list[list[float]]) -> NDArray[np.int8]:
    """Return for each row 1 for walk, 0 for stop, and -1 if the version can't score it."""
    decisions = np.full(len(lights), -1, np.int8)
    count = version.network.light_count
    fits = [i for i, row in enumerate(lights) if len(row) == count]
    if fits:
        scores = version.network.scores(np.array([lights[i] for i in fits]))
        decisions[fits] = np.where(np.isfinite(scores), is_walk(scores), -1)
    return decisions
