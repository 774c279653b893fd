"""Stochastic descent for small networks: one pass over single rows, in plain floats.

numpy costs more a call than such a row's arithmetic, and lists and loops cost more than the sums in
them. So for each shape of network its sums are written out once, as Python, with a local variable
for every node and weight, and compiled. `print(source((3, 4, 1), "relu"))` shows how they read.
Batches of one, which on narrow networks agree with this to the bit, are in `descent`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from streetlight.model.network import Activation, Columns, Row

# With more weights than this, arrays are as quick; to compile so many takes 35 ms.
MAX_GENERATED_WEIGHTS = 2000


def pass_by_rows(
    weights: list[Columns],
    rows: list[Row],
    walk_vs_stop: Row,
    *,
    alpha: float,
    weight_decay: float,
    activation: Activation,
) -> float:
    """Stochastic gradient descent: update the weights after each row.

    Args:
        weights: matrix by matrix, node by node, changed in place.
        rows: `layer_0`, row by row.
        walk_vs_stop: the outcome of each row.
        alpha: the step size.
        weight_decay: the L2 penalty.
        activation: of the hidden layers.

    Returns:
        The squared errors, each as met on the way, summed: the lab's `Error`.
    """
    sizes, keep = (*(len(columns[0]) for columns in weights), 1), 1 - alpha * weight_decay
    one_pass = _compiled(sizes, activation, decays=keep != 1)
    error: float
    weights[:], error = one_pass(weights, rows, walk_vs_stop, alpha, keep)
    return error


@lru_cache(maxsize=32)  # whoever steps through a network chooses its shape
def _compiled(
    sizes: tuple[int, ...], activation: Activation, *, decays: bool
) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(source(sizes, activation, decays=decays), namespace)  # noqa: S102 - every word of it is from here
    one_pass: Callable[..., Any] = namespace["one_pass"]
    return one_pass


def source(sizes: Sequence[int], activation: Activation, *, decays: bool = True) -> str:
    """Return the function for a network with layers of these sizes, lights and output among them.

    Its arguments are the weights, the rows, their outcomes, alpha, and what weight decay keeps of a
    weight, if it `decays`; it returns the weights and the error.
    """
    layers = [[f"layer_{d}_{i}" for i in range(size)] for d, size in enumerate(sizes)]
    # The weights that lead from layer d into each node of the next, as `Columns` has them.
    weights = [
        [[f"weight_{d}_{i}_{j}" for i in range(inputs)] for j in range(nodes)]
        for d, (inputs, nodes) in enumerate(pairwise(sizes))
    ]
    every_weight = _list(_list(map(_list, columns)) for columns in weights)
    forward = _forward(layers, weights, activation)
    backward = _backward(layers, weights, activation, " * keep" if decays else "")
    return "\n".join(
        [
            "def one_pass(weights, rows, walk_vs_stop, alpha, keep):",
            f"    {every_weight} = weights",
            "    error = 0.0",
            f"    for {_list(layers[0])}, outcome in zip(rows, walk_vs_stop):",
            *(f"        {line}" for line in chain(forward, backward)),
            f"    return {every_weight}, error",
        ]
    )


def _list(names: Iterator[str] | Sequence[str]) -> str:
    return f"[{', '.join(names)}]"


def _sum(pairs: Iterator[tuple[str, str]]) -> str:
    # From 0.0, so that a sum of nothing but -0.0 is 0.0, as it is for batches.
    return " + ".join(["0.0", *(f"{a} * {b}" for a, b in pairs)])


def _forward(
    layers: list[list[str]], weights: list[list[list[str]]], activation: Activation
) -> Iterator[str]:
    for d, columns in enumerate(weights):
        for node, column in zip(layers[d + 1], columns, strict=True):
            yield f"{node} = {_sum(zip(layers[d], column, strict=True))}"
            if activation == "relu" and d + 1 < len(weights):
                yield f"if {node} <= 0: {node} = 0.0"


def _backward(
    layers: list[list[str]], weights: list[list[list[str]]], activation: Activation, kept: str
) -> Iterator[str]:
    deltas = ["delta"]
    yield f"delta = outcome - {layers[-1][0]}"
    yield "error += delta * delta"
    for d in range(len(weights) - 1, -1, -1):
        above, deltas = deltas, [f"{node}_delta" for node in layers[d]]
        # Backpropagation: what a node is blamed for is the delta above it by its weight, and
        # nothing where relu turned it off. The lights are blamed for nothing.
        for i, (node, delta) in enumerate(zip(layers[d], deltas, strict=True) if d else ()):
            blame = _sum((over, column[i]) for over, column in zip(above, weights[d], strict=True))
            on = f" if {node} > 0 else 0.0" if activation == "relu" else ""
            yield f"{delta} = {blame}{on}"
        for over, column in zip(above, weights[d], strict=True):
            for node, weight in zip(layers[d], column, strict=True):
                yield f"{weight} = {weight}{kept} + alpha * ({node} * {over})"
