"""Recipe: everything that a training depends on besides its data, checked and bounded."""

import math
from dataclasses import dataclass
from typing import get_args

from streetlight.model.network import Activation

# The least and the most of each number, and of each of the numbers in `hidden_sizes`.
BOUNDS: dict[str, tuple[float, float]] = {
    "hidden_sizes": (1, 1024),
    "alpha": (1e-9, 1e9),
    "iterations": (1, 1_000_000),
    "batch_size": (1, 1_000_000_000),
    "seed": (0, 2**31),
    "restarts": (0, 1000),
    "target_error": (0, 1e9),
    "patience": (1, 1_000_000),
    "weight_decay": (0, 1e9),
}


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the lab's three-layer run.

    Attributes:
        hidden_sizes: nodes of each hidden layer; `()` is the two-layer network.
        alpha: how far a weight moves along its weight_delta.
        iterations: passes over the data in one run.
        batch_size: rows to an update: 1 is stochastic, n is batch, `None` is full descent.
            A batch moves the weights by the average over its rows.
        seed: of the random start. The same recipe on the same data gives the same bits.
        restarts: how many further seeds (seed + 1, seed + 2 …) may be tried until the target is
            met. Random starts often fail: 105 of the first 200 seeds do on the lab's data.
        target_error: what a training must reach: the squared errors, summed over the rows.
            `None` accepts any.
        patience: early stopping: end a run once it meets its target, or once so many iterations
            in a row brought no lower error. `None` always runs every iteration, as the lab does.
        weight_decay: L2 regularisation, the share of each weight added to its weight_delta.
        activation: `relu`, or `linear` to see why that can't learn what two layers can't.

    Raises:
        ValueError: names the field, what was expected and what came.
    """

    hidden_sizes: tuple[int, ...] = (4,)
    alpha: float = 0.2
    iterations: int = 60
    batch_size: int | None = 1
    seed: int = 1
    restarts: int = 20
    target_error: float | None = 0.01
    patience: int | None = None
    weight_decay: float = 0.0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        if len(self.hidden_sizes) > 8:
            raise ValueError(
                f"hidden_sizes: expected at most 8 layers, got {len(self.hidden_sizes)}"
            )
        for i, size in enumerate(self.hidden_sizes):
            _whole(f"hidden_sizes[{i}]", size, "hidden_sizes")
        for name in ("iterations", "seed", "restarts"):
            _whole(name, getattr(self, name), name)
        for name in ("batch_size", "patience"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), name)
        for name in ("alpha", "weight_decay"):
            _number(name, getattr(self, name))
        if self.target_error is not None:
            _number("target_error", self.target_error)
        if self.activation not in get_args(Activation):
            raise ValueError(f'activation: expected relu or linear, got "{self.activation}"')


def _whole(field: str, value: object, name: str) -> None:
    lowest, highest = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(
            f"{field}: expected a whole number from {lowest} to {highest}, got {value}"
        )


def _number(name: str, value: float) -> None:
    lowest, highest = BOUNDS[name]
    if isinstance(value, bool) or not math.isfinite(value) or not lowest <= value <= highest:
        raise ValueError(f"{name}: expected a number from {lowest:g} to {highest:g}, got {value}")
