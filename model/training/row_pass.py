"""The generated row pass: stochastic descent over single rows, in plain floats.

For a small network a numpy call takes longer than the arithmetic of a row, and so do lists and
loops. So a function is generated for each shape of network, with a local variable for every node
and weight, and compiled. `print(source((3, 4, 1), "relu", decays=False, shrinks=False))` shows the
one for the lab's run.

Batches are in `descent`; on narrow networks, a batch of one row gives the same bits as this module,
except for the sign of a weight that is zero.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from streetlight.model.network import Activation, Columns, Row

# With more weights, arrays are as fast. Generating and compiling this many takes 35 ms.
MAX_GENERATED_WEIGHTS = 2000


def pass_by_rows(
    weights: list[Columns],
    rows: list[Row],
    walk_vs_stop: Row,
    alphas: Row,
    *,
    weight_decay: float,
    l1_penalty: float,
    activation: Activation,
) -> float:
    """Make one pass of stochastic gradient descent, with an update after each row.

    Args:
        weights: for each matrix and each node, the weights of its inputs; updated in place.
        rows: `layer_0`, row by row.
        walk_vs_stop: the outcome of each row.
        alphas: the step size of each row.
        weight_decay: the L2 penalty.
        l1_penalty: the L1 penalty.
        activation: activation of the hidden layers.

    Returns:
        Each row's squared error before its update, summed: the lab's `Error`.
    """
    sizes = (*(len(columns[0]) for columns in weights), 1)
    one_pass = _compile(sizes, activation, decays=weight_decay > 0, shrinks=l1_penalty > 0)
    error: float
    weights[:], error = one_pass(weights, rows, walk_vs_stop, alphas, weight_decay, l1_penalty)
    return error


@lru_cache(maxsize=32)
def _compile(
    sizes: tuple[int, ...], activation: Activation, *, decays: bool, shrinks: bool
) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    code = source(sizes, activation, decays=decays, shrinks=shrinks)
    exec(code, namespace)  # noqa: S102 - the source is generated below
    one_pass: Callable[..., Any] = namespace["one_pass"]
    return one_pass


def source(sizes: Sequence[int], activation: Activation, *, decays: bool, shrinks: bool) -> str:
    """Return the Python source of the pass for a network with layers of `sizes`.

    The sizes include the lights and the output. The function's arguments are the weights, the rows,
    the outcomes, the step sizes, the L2 penalty, which is used if `decays` only, and the L1
    penalty, likewise for `shrinks`. The function returns the new weights and the error.
    """
    layers = [[f"layer_{d}_{i}" for i in range(size)] for d, size in enumerate(sizes)]
    # For each node of layer d + 1, the names of the weights of its inputs, as in `Columns`.
    weights = [
        [[f"weight_{d}_{i}_{j}" for i in range(inputs)] for j in range(nodes)]
        for d, (inputs, nodes) in enumerate(pairwise(sizes))
    ]
    every_weight = _list(_list(map(_list, columns)) for columns in weights)
    forward = _forward(layers, weights, activation)
    backward = _backward(layers, weights, activation, decays=decays, shrinks=shrinks)
    return "\n".join(
        [
            "def one_pass(weights, rows, walk_vs_stop, alphas, weight_decay, l1_penalty):",
            f"    {every_weight} = weights",
            "    error = 0.0",
            f"    for {_list(layers[0])}, outcome, alpha in zip(rows, walk_vs_stop, alphas):",
            *(f"        {line}" for line in chain(forward, backward)),
            f"    return {every_weight}, error",
        ]
    )


def _list(names: Iterator[str] | Sequence[str]) -> str:
    return f"[{', '.join(names)}]"


def _sum(pairs: Iterator[tuple[str, str]]) -> str:
    # Starting from 0.0, a sum of -0.0 only is 0.0, as in `weighted_sum`.
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
    layers: list[list[str]],
    weights: list[list[list[str]]],
    activation: Activation,
    *,
    decays: bool,
    shrinks: bool,
) -> Iterator[str]:
    decay = " * decay_factor" if decays else ""
    deltas = ["delta"]
    yield f"delta = outcome - {layers[-1][0]}"
    yield "error += delta * delta"
    if decays:
        yield "decay_factor = 1 - alpha * weight_decay"
    if shrinks:
        yield "shrinkage = alpha * l1_penalty"
    for d in range(len(weights) - 1, -1, -1):
        next_deltas, deltas = deltas, [f"{node}_delta" for node in layers[d]]
        # Backpropagation: a node's delta is the sum of the deltas of the next layer, each times its
        # weight, and 0 if relu turned the node off. The lights have no deltas.
        for i, (node, delta) in enumerate(zip(layers[d], deltas, strict=True) if d else ()):
            pairs = zip(next_deltas, weights[d], strict=True)
            total = _sum((next_delta, column[i]) for next_delta, column in pairs)
            on = f" if {node} > 0 else 0.0" if activation == "relu" else ""
            yield f"{delta} = {total}{on}"
        for next_delta, column in zip(next_deltas, weights[d], strict=True):
            for node, weight in zip(layers[d], column, strict=True):
                yield f"{weight} = {weight}{decay} + alpha * ({node} * {next_delta})"
                if shrinks:
                    # As `descent.update` does: a weight that is NaN stays NaN.
                    yield (
                        f"{weight} -= shrinkage if {weight} > shrinkage "
                        f"else -shrinkage if {weight} < -shrinkage else {weight}"
                    )
