"""The weight-pressure table of a network and rows, and what it costs.

The arithmetic is in `streetlight.model.explanation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model import explanation
from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.network import Network, WeightLists, weight_names
from streetlight.service.inference.codecs.batch_json import NUMBER_BYTES
from streetlight.service.inference.limits import Cost
from streetlight.service.validation.problems import FieldError, Problem

# The time that a row's pressure on a weight takes, in multiplications.
PRESSURE_MULTIPLICATIONS = 8
# A sign in JSON, with quotes and a comma.
SIGN_BYTES = 4
# The characters of the signs 0, 1 and -1.
SIGNS = np.frombuffer(b"0+-", np.uint8)


@dataclass(frozen=True)
class RowPressure:
    """The pressure of one row on each weight: positive is up, negative is down.

    `signs` is the lab's table: a text for each input of a weight matrix, with `+`, `-` or `0` for
    the weight to each node.
    """

    lights: list[float]
    outcome: float
    score: float
    pressure: WeightLists
    signs: dict[str, list[str]]


@dataclass(frozen=True)
class Pressure:
    """The weight-pressure table: some of the rows, and the sums over all of them.

    `version` is null for a network that the client sent. `up` adds the positive pressures on each
    weight, `down` the negative ones; `sum` is `up` plus `down`. Request the next page of rows with
    `after` set to `next`, null on the last.
    """

    version: int | None
    total_rows: int
    rows: list[RowPressure]
    up: WeightLists
    down: WeightLists
    sum: WeightLists
    next: int | None


def pressure_cost(network: Network, rows: int, after: int, limit: int) -> Cost:
    """Return what `pressure_table` costs for a dataset of so many rows."""
    listed = len(range(rows)[after : after + limit])
    return Cost(
        multiplications=rows * network.weight_count * PRESSURE_MULTIPLICATIONS,
        # Each row and each of the three sums has a number for each weight, a row also its sign.
        response_bytes=network.weight_count * ((listed + 3) * NUMBER_BYTES + listed * SIGN_BYTES),
    )


def pressure_table(
    network: Network, dataset: Dataset, after: int, limit: int, version: int | None = None
) -> Pressure:
    """Return the pressure of the rows of `dataset` on the weights of `network`.

    The table lists up to `limit` rows after row `after`; the first row is 1.

    Raises:
        FieldError: a pressure overflows.
    """
    listed = range(len(dataset))[after : after + limit]
    with np.errstate(over="ignore", invalid="ignore"):
        pressures = explanation.weight_pressure(network, dataset, slice(listed.start, listed.stop))
        up, down = explanation.total_pressure(network, dataset)
    if not all(np.isfinite(matrix).all() for matrix in [*up, *down]):
        message = "expected lights for which no pressure overflows; use smaller lights"
        raise FieldError(Problem("rows", message))
    return Pressure(
        version=version,
        total_rows=len(dataset),
        rows=[
            RowPressure(
                dataset.lights[row].tolist(),
                float(dataset.walk_vs_stop[row]),
                network.score(dataset.lights[row].tolist()),
                _named([pressure[i] for pressure in pressures]),
                _signs([pressure[i] for pressure in pressures]),
            )
            for i, row in enumerate(listed)
        ],
        up=_named(up),
        down=_named(down),
        sum=_named([u + d for u, d in zip(up, down, strict=True)]),
        next=listed.stop if listed and listed.stop < len(dataset) else None,
    )


def _named(matrices: Sequence[FloatArray]) -> WeightLists:
    names = weight_names(len(matrices))
    return {name: matrix.tolist() for name, matrix in zip(names, matrices, strict=True)}


def _signs(matrices: Sequence[FloatArray]) -> dict[str, list[str]]:
    return {
        name: [row.tobytes().decode() for row in SIGNS[np.sign(matrix).astype(int)]]
        for name, matrix in zip(weight_names(len(matrices)), matrices, strict=True)
    }
