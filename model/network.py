"""`Network`: weight matrices, relu, and the forward pass for one row and for many.

Training is in `training`, storage in `registry.version`.

Every sum is taken in the order of the inputs, by separate multiplications and additions. BLAS is
not used, because its last bit depends on the processor and on the number of rows. A row therefore
gets the same score, bit for bit, alone or among a million rows, in plain floats or in an array, and
on every machine.
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
# A weight matrix in plain floats: for each node, the weights of its inputs.
Columns = list[list[float]]
# Weight matrices in plain floats by their names: for each input, the weights to the nodes.
WeightLists = dict[str, list[list[float]]]

# Rows processed at a time. Their layers fit in the processor's cache, and memory stays bounded.
BLOCK_ROWS = 2048
# Up to this many nodes in every layer, arrays are stored node by node, so that numpy's inner loop
# runs over the rows, which are many, and not over the few nodes: docs/decisions/0016.
MAX_NARROW_NODES = 16
# Up to this many weights, one row is scored faster in plain floats than in arrays. The plain floats
# of a large network would take 250 MB, and no other thread would run while they are multiplied.
MAX_PLAIN_WEIGHTS = 500


def weighted_sum(layer: FloatArray, weights: FloatArray, order: MemoryOrder = "C") -> FloatArray:
    """Return `layer.dot(weights)`: (rows, inputs) and (inputs, nodes) give (rows, nodes).

    The result is stored row by row for `order` C, node by node for F.
    """
    total: FloatArray = np.multiply(layer[:, :1], weights[0], order=order)
    total += 0.0  # turns -0.0 into 0.0, the start of the sums in `weighted_sum_of_row`
    product = np.empty_like(total)
    for i in range(1, len(weights)):
        total += np.multiply(layer[:, i : i + 1], weights[i], out=product)
    return total


def weighted_sum_of_row(layer: Row, columns: Columns) -> Row:
    """Return the same bits as `weighted_sum`, for one row in plain floats."""
    sums = []
    for column in columns:
        # Not sum(): since Python 3.12 it compensates rounding errors, so its bits differ from 3.11.
        total = 0.0
        for node, weight in zip(layer, column):
            total += node * weight
        sums.append(total)
    return sums


def relu(layer: FloatArray) -> FloatArray:
    """Return `layer` with 0.0 for every node below 0. NaN stays NaN, so that it is detected."""
    return np.where(layer <= 0, 0.0, layer)


def relu_of_row(layer: Row) -> Row:
    """Return the same as `relu`, for one row in plain floats."""
    return [0.0 if node <= 0 else node for node in layer]


def forward(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    activation: Activation,
    order: MemoryOrder = "C",
) -> list[FloatArray]:
    """Return `layer_0`, `layer_1` … of shape (rows, nodes). The last layer has no activation."""
    layers = [layer_0]
    for matrix in weights[:-1]:
        total = weighted_sum(layers[-1], matrix, order)
        layers.append(relu(total) if activation == "relu" else total)
    return [*layers, weighted_sum(layers[-1], weights[-1], order)]


def forward_of_row(weights: Sequence[Columns], layer_0: Row, activation: Activation) -> list[Row]:
    """Return the same bits as `forward`, for one row in plain floats."""
    layers = [layer_0]
    for columns in weights[:-1]:
        total = weighted_sum_of_row(layers[-1], columns)
        layers.append(relu_of_row(total) if activation == "relu" else total)
    return [*layers, weighted_sum_of_row(layers[-1], weights[-1])]


def weight_names(matrices: int) -> list[str]:
    """Return the lab's names of so many weight matrices: `weights_0_1`, `weights_1_2` …."""
    return [f"weights_{d}_{d + 1}" for d in range(matrices)]


def is_wide(weights: Sequence[FloatArray]) -> bool:
    """Return whether any layer before the output has more than `MAX_NARROW_NODES` nodes."""
    return max(map(len, weights)) > MAX_NARROW_NODES


def blocks(rows: int, block_rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Return slices that cover `rows` rows in order, each of at most `block_rows` rows."""
    return (slice(start, start + block_rows) for start in range(0, rows, block_rows))


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """Weight matrices from the lights to one output.

    One matrix is the lab's two-layer network, two are its three-layer network; deeper networks have
    more. Every hidden layer is followed by `activation`. The output is linear. There are no biases.

    Attributes:
        weights: matrix d has shape (size of layer d, size of layer d + 1); the last has one column.
        activation: `relu`, or `linear` for none, to show what a linear network can't learn.
        scale: lights are divided by this number, so that layer_0 is in [-1, 1] on the training set.

    Raises:
        ValueError: the shapes don't chain, a weight isn't finite, or `scale` isn't above 0.
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
        """The number of lights that a row must have."""
        return len(self.weights[0])

    @cached_property
    def weight_count(self) -> int:
        """The number of weights in all matrices."""
        return sum(matrix.size for matrix in self.weights)

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The number of nodes of each hidden layer; empty for a two-layer network."""
        return tuple(matrix.shape[1] for matrix in self.weights[:-1])

    @property
    def named_weights(self) -> dict[str, FloatArray]:
        """The weight matrices by the lab's names, such as `weights_0_1`."""
        return dict(zip(weight_names(len(self.weights)), self.weights, strict=True))

    def layers(self, lights: FloatArray) -> list[FloatArray]:
        """Return `layer_0`, `layer_1` … for `lights` of shape (rows, lights).

        `layer_0` is the scaled lights; the last layer, of shape (rows, 1), is the scores.
        """
        return forward(self.weights, lights / self.scale, self.activation)

    def scores(self, lights: npt.NDArray[Any]) -> FloatArray:
        """Return the scores, shape (rows,), of `lights`, shape (rows, lights), of any real dtype.

        If the arithmetic overflows, the score is inf or NaN; no exception is raised.
        """
        scores = np.empty(len(lights))
        wide = is_wide(self.weights)
        order: MemoryOrder = "C" if wide else "F"
        block_rows = BLOCK_ROWS if wide else 4 * BLOCK_ROWS
        with np.errstate(over="ignore", invalid="ignore"):
            for block in blocks(len(lights), block_rows):
                # Converting a block at a time avoids a copy of all lights as float64.
                layer_0 = np.divide(lights[block], self.scale, dtype=np.float64)
                layers = forward(self.weights, layer_0, self.activation, order)
                scores[block] = layers[-1][:, 0]
        return scores

    def score(self, lights: Sequence[float]) -> float:
        """Return the score of one light state, the same bits as `scores` returns for its row."""
        if self.weight_count > MAX_PLAIN_WEIGHTS:
            return float(self.scores(np.array([lights], dtype=np.float64))[0])
        layer_0 = [light / self.scale for light in lights]
        return forward_of_row(self.columns, layer_0, self.activation)[-1][0]

    @cached_property
    def columns(self) -> list[Columns]:
        """The weights in plain floats: for each matrix and each node, the weights of its inputs."""
        return [matrix.T.tolist() for matrix in self.weights]
