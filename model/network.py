"""The network: weight matrices, relu, and the forward pass, for one row and for many.

Pure arithmetic. How weights come to be is in `training`, how they are kept in `version`.

Every sum is taken in the order of the inputs, by separate multiplications and additions, never by
BLAS, whose last bit depends on the processor and on the number of rows. So one row and a million
rows, plain floats and arrays, this machine and the next give the same score bit for bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streetlight.model.dataset import FloatArray

Activation = Literal["relu", "linear"]
MemoryOrder = Literal["C", "F"]
Row = list[float]
# A weight matrix in plain floats, node by node: the weights that lead into each.
Columns = list[list[float]]

# Rows worked on at a time: their layers stay in the processor's cache, and memory stays bounded.
BLOCK = 2048
# Networks with layers up to this width are narrow. They are scored node by node, so that numpy runs
# along the rows, which are many, and not along the nodes, which are few: docs/decisions/0016.
NARROW = 16


def weighted_sum(layer: FloatArray, weights: FloatArray, order: MemoryOrder = "C") -> FloatArray:
    """Return `layer.dot(weights)`: (rows, inputs) and (inputs, nodes) give (rows, nodes).

    In memory, row by row or, in Fortran's order, node by node.
    """
    total: FloatArray = np.multiply(layer[:, :1], weights[0], order=order)
    total += 0.0  # -0.0 to 0.0, so that a sum starts as it does below
    product = np.empty_like(total)
    for i in range(1, len(weights)):
        total += np.multiply(layer[:, i : i + 1], weights[i], out=product)
    return total


def weighted_sum_of_row(layer: Row, columns: Columns) -> Row:
    """Return what `weighted_sum` does, to the bit, for one row in plain floats."""
    sums = []
    for column in columns:
        # Not sum(): since Python 3.12 that compensates, and would give other bits than 3.11.
        total = 0.0
        for node, weight in zip(layer, column):
            total += node * weight
        sums.append(total)
    return sums


def relu(layer: FloatArray) -> FloatArray:
    """Turn off (set to 0) every node below 0; NaN stays NaN, so that it is noticed."""
    return np.where(layer <= 0, 0.0, layer)


def relu_of_row(layer: Row) -> Row:
    """Return what `relu` does, for one row in plain floats."""
    return [0.0 if node <= 0 else node for node in layer]


def forward(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    activation: Activation,
    order: MemoryOrder = "C",
) -> list[FloatArray]:
    """Return `layer_0`, `layer_1` … of shape (rows, nodes); the last is the linear output."""
    layers = [layer_0]
    for matrix in weights[:-1]:
        total = weighted_sum(layers[-1], matrix, order)
        layers.append(relu(total) if activation == "relu" else total)
    return [*layers, weighted_sum(layers[-1], weights[-1], order)]


def forward_of_row(weights: Sequence[Columns], layer_0: Row, activation: Activation) -> list[Row]:
    """Return what `forward` does, to the bit, for one row in plain floats."""
    layers = [layer_0]
    for columns in weights[:-1]:
        total = weighted_sum_of_row(layers[-1], columns)
        layers.append(relu_of_row(total) if activation == "relu" else total)
    return [*layers, weighted_sum_of_row(layers[-1], weights[-1])]


def weight_names(matrices: int) -> list[str]:
    """Return the lab's names of that many weight matrices: `weights_0_1`, `weights_1_2` and on."""
    return [f"weights_{d}_{d + 1}" for d in range(matrices)]


def is_wide(weights: Sequence[FloatArray]) -> bool:
    """Say whether any layer has more nodes than are best worked on one by one."""
    return max(map(len, weights)) > NARROW


def blocks(rows: int, most: int = BLOCK) -> Iterator[slice]:
    """Cut `rows` rows into slices of at most `most`."""
    return (slice(start, start + most) for start in range(0, rows, most))


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """Weight matrices from the lights to one output.

    One matrix is the lab's two-layer network, two are its three-layer network; more stack.
    relu after every hidden layer (or nothing, for a linear network), linear output, no biases.

    Attributes:
        weights: matrix d has shape (size of layer d, size of layer d + 1); the last, (…, 1).
        activation: `relu`, or `linear` to see why it isn't enough.
        scale: what lights are divided by, so that layer_0 lies in [-1, 1] on the training set.

    Raises:
        ValueError: shapes that don't chain, weights that aren't finite, or a scale not above 0.
    """

    weights: tuple[FloatArray, ...]
    activation: Activation = "relu"
    scale: float = 1.0

    def __post_init__(self) -> None:
        weights = tuple(np.array(matrix, dtype=np.float64, order="C") for matrix in self.weights)
        shapes = [matrix.shape for matrix in weights]
        if not shapes or any(len(shape) != 2 or 0 in shape for shape in shapes):
            raise ValueError(f"expected weight matrices, got shapes {shapes}")
        outputs = [*(shape[0] for shape in shapes[1:]), 1]
        if [shape[1] for shape in shapes] != outputs:
            raise ValueError(f"expected shapes that chain and end in one output, got {shapes}")
        if not all(np.isfinite(matrix).all() for matrix in weights):
            raise ValueError("expected finite weights, got inf or NaN")
        if not 0 < self.scale < np.inf:
            raise ValueError(f"expected a finite scale above 0, got {self.scale}")
        if self.activation not in ("relu", "linear"):
            raise ValueError(f"expected activation relu or linear, got {self.activation!r}")
        for matrix in weights:
            matrix.setflags(write=False)
        object.__setattr__(self, "weights", weights)

    def __repr__(self) -> str:
        sizes = [matrix.shape[0] for matrix in self.weights]
        return f"Network({'-'.join(map(str, sizes))}-1, {self.activation})"

    @property
    def light_count(self) -> int:
        """How many lights a row must have."""
        return len(self.weights[0])

    @cached_property
    def weight_count(self) -> int:
        """How many weights there are."""
        return sum(matrix.size for matrix in self.weights)

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """How many nodes each hidden layer has; empty for the two-layer network."""
        return tuple(matrix.shape[1] for matrix in self.weights[:-1])

    @property
    def named_weights(self) -> dict[str, FloatArray]:
        """The matrices by their names in the lab."""
        return dict(zip(weight_names(len(self.weights)), self.weights, strict=True))

    def layers(self, lights: FloatArray) -> list[FloatArray]:
        """Return `layer_0`, `layer_1` … for `lights` of shape (rows, lights).

        `layer_0` is the scaled lights, the last layer, of shape (rows, 1), the scores.
        """
        return forward(self.weights, lights / self.scale, self.activation)

    def scores(self, lights: npt.NDArray[Any]) -> FloatArray:
        """Return the scores, shape (rows,), of `lights`, shape (rows, lights), of any real type.

        A light so large that the arithmetic overflows gives inf or NaN, not an exception.
        """
        scores = np.empty(len(lights))
        wide = is_wide(self.weights)
        order: MemoryOrder = "C" if wide else "F"
        most = BLOCK if wide else 4 * BLOCK
        with np.errstate(over="ignore", invalid="ignore"):
            for block in blocks(len(lights), most):
                # Whatever numbers they are, they become doubles here, few at a time.
                layer_0 = np.divide(lights[block], self.scale, dtype=np.float64)
                layers = forward(self.weights, layer_0, self.activation, order)
                scores[block] = layers[-1][:, 0]
        return scores

    def score(self, lights: Sequence[float]) -> float:
        """Return the score of one light state, to the bit what `scores` gives for it."""
        layer_0 = [light / self.scale for light in lights]
        return forward_of_row(self.columns, layer_0, self.activation)[-1][0]

    @cached_property
    def columns(self) -> list[Columns]:
        """The weights in plain floats, matrix by matrix, node by node."""
        return [matrix.T.tolist() for matrix in self.weights]
