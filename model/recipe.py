"""Recipe: everything that a training depends on besides its data, checked and bounded."""

import math
from dataclasses import dataclass
from typing import get_args

from model.network import Activation


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
            _whole(f"hidden_sizes[{i}]", size, 1, 1024)
        _whole("iterations", self.iterations, 1, 1_000_000)
        _whole("seed", self.seed, 0, 2**31)
        _whole("restarts", self.restarts, 0, 1000)
        if self.batch_size is not None:
            _whole("batch_size", self.batch_size, 1, 1_000_000_000)
        if self.patience is not None:
            _whole("patience", self.patience, 1, 1_000_000)
        _number("alpha", self.alpha, 1e-9, 1e9)
        _number("weight_decay", self.weight_decay, 0, 1e9)
        if self.target_error is not None:
            _number("target_error", self.target_error, 0, 1e9)
        if self.activation not in get_args(Activation):
            raise ValueError(f'activation: expected relu or linear, got "{self.activation}"')


def _whole(name: str, value: object, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"{name}: expected a whole number from {lowest} to {highest}, got {value}")


def _number(name: str, value: float, lowest: float, highest: float) -> None:
    if isinstance(value, bool) or not math.isfinite(value) or not lowest <= value <= highest:
        raise ValueError(f"{name}: expected a number from {lowest:g} to {highest:g}, got {value}")
