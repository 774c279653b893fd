"""`Recipe`: the parameters of a training, with their bounds.

The training itself is in `training.fit`.
"""

import math
from dataclasses import dataclass
from typing import get_args

from streetlight.model.dataset import Repeats
from streetlight.model.network import Activation

# The lowest and the highest value of each field; for `hidden_sizes`, of each number in it.
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
    "l1_penalty": (0, 1e9),
}

# Added to the error for a tied light state that is decided walk: see `Recipe.missed_target`.
TIED_WALK_ERROR = 0.25


@dataclass(frozen=True)
class Recipe:
    """The parameters of a training. The defaults are the lab's three-layer run.

    Attributes:
        hidden_sizes: nodes of each hidden layer; `()` is a two-layer network. At most 8 layers.
        alpha: the step size: an update adds alpha times its weight_delta to each weight.
        iterations: passes over the data in one run.
        batch_size: observations per update: 1 for stochastic, n for batch, `None` for full gradient
            descent. A batch moves the weights by the average over its observations. A row that
            stands for more than one observation weighs as many: see `training.batches`.
        seed: seed of the random initial weights. The same recipe on the same data gives the same
            network, bit for bit.
        restarts: number of further seeds (seed + 1, seed + 2 …) to try while the target error is
            missed. On the lab's data 105 of the first 200 seeds miss it.
        target_error: highest accepted squared error, summed over the rows; see `missed_target`.
            `None` accepts any.
        patience: early stopping: end a run when it meets the target error, or after this many
            iterations in a row without a lower error. `None` runs every iteration, as the lab does.
        weight_decay: L2 regularisation: this fraction of each weight is subtracted from its
            weight_delta.
        l1_penalty: L1 regularisation: this number, with the sign of the weight, is subtracted from
            the weight_delta. A weight that this alone would move across 0 becomes 0.
        activation: activation of the hidden layers: `relu`, or `linear` for none. A linear network
            can't learn more than a two-layer network.
        repeats: `grouped`: rows with equal light states become one row, with their mean outcome and
            their number as its count; or `kept`, in their order, as the lab does.

    Raises:
        ValueError: a field is out of bounds; the message names the field and its bounds.
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
    l1_penalty: float = 0.0
    activation: Activation = "relu"
    repeats: Repeats = "grouped"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        if len(self.hidden_sizes) > 8:
            raise ValueError(
                f"hidden_sizes: expected at most 8 layers, got {len(self.hidden_sizes)}"
            )
        for i, size in enumerate(self.hidden_sizes):
            _check_whole(f"hidden_sizes[{i}]", size, "hidden_sizes")
        for name in ("iterations", "seed", "restarts"):
            _check_whole(name, getattr(self, name), name)
        for name in ("batch_size", "patience"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), name)
        for name in ("alpha", "weight_decay", "l1_penalty"):
            _check_number(name, getattr(self, name))
        if self.target_error is not None:
            _check_number("target_error", self.target_error)
        if self.activation not in get_args(Activation):
            raise ValueError(f'activation: expected relu or linear, got "{self.activation}"')
        if self.repeats not in get_args(Repeats):
            raise ValueError(f'repeats: expected grouped or kept, got "{self.repeats}"')

    def missed_target(self, error: float, tied_walks: int) -> str | None:
        """Return why a training misses the target error; `None` if it meets the target.

        Args:
            error: the squared error, summed over the rows.
            tied_walks: how many light states that were observed as often with walk as with stop are
                decided walk. Each counts 0.25, the squared distance of that decision to the mean
                outcome.
        """
        target = self.target_error
        if target is None or error + TIED_WALK_ERROR * tied_walks <= target:
            return None
        if error > target:
            return f"the error is {error:.3g}, above the target of {target:g}"
        states = "light state is" if tied_walks == 1 else "light states are"
        return f"{tied_walks} {states} decided walk, but observed as often with stop"


def _check_whole(field: str, value: object, name: str) -> None:
    lowest, highest = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(
            f"{field}: expected a whole number from {lowest} to {highest}, got {value}"
        )


def _check_number(name: str, value: float) -> None:
    lowest, highest = BOUNDS[name]
    if isinstance(value, bool) or not math.isfinite(value) or not lowest <= value <= highest:
        raise ValueError(f"{name}: expected a number from {lowest:g} to {highest:g}, got {value}")
