"""Explanations: parts that add up, flips that flip, and the lab's Weight Pressure table."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import LAB, LAB_DIRECT
from streetlight.model.explanation import explain, patterns, total_pressure, weight_pressure
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit, initial_network

NETWORK = fit(LAB, Recipe()).network
ON_OFF = (0.0, 1.0)


@given(
    st.integers(0, 500),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.sampled_from([(), (4,), (3, 2)]),
    st.sampled_from(["relu", "linear"]),
)
def test_contributions_add_up_to_the_score(
    seed: int, lights: list[float], sizes: tuple[int, ...], activation: str
) -> None:
    recipe = Recipe(hidden_sizes=sizes, activation=activation)  # type: ignore[arg-type]
    network = initial_network(LAB, recipe, seed)

    told = explain(network, lights, ON_OFF)

    assert told.score == network.score(lights)
    assert sum(told.contributions) == pytest.approx(told.score, abs=1e-12)
    assert len(told.layers) == len(sizes) + 2
    assert [len(mask) for mask in told.active] == list(sizes)


def test_nodes_that_relu_turned_off_are_told() -> None:
    told = explain(NETWORK, [1, 0, 1], ON_OFF)

    assert told.active == [[False, True, False, False]]
    assert told.layers[1][1] > 0
    assert [told.layers[1][node] for node in (0, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize("lights", [[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
def test_the_nearest_flip_turns_the_decision(lights: list[float]) -> None:
    flip = explain(NETWORK, lights, ON_OFF).flip

    assert flip is not None
    flipped = [flip.now if i == flip.light else light for i, light in enumerate(lights)]
    assert flip.was == lights[flip.light] != flip.now
    assert flip.score == NETWORK.score(flipped)
    assert (flip.score >= 0.5) != (NETWORK.score(lights) >= 0.5)


def test_the_flip_that_needs_the_smallest_change_is_told() -> None:
    network = Network((np.array([[1.0], [1.0]]),))

    flip = explain(network, [0.4, 0.3], ON_OFF).flip

    assert flip is not None
    assert (flip.light, flip.now) == (1, 0.0) or abs(flip.now - flip.was) == pytest.approx(0.3)


def test_where_no_single_flip_turns_the_decision_none_is_told() -> None:
    assert explain(Network((np.zeros((3, 1)),)), [1, 1, 1], ON_OFF).flip is None


def signs(lights: np.ndarray) -> Iterator[str]:
    for row in lights:
        yield "".join("+" if pull > 0 else "-" if pull < 0 else "0" for pull in row)


def test_weight_pressure_is_the_lab_s_table() -> None:
    """From weights of one half, each row pulls up where people walked, down where they stopped."""
    half = Network((np.full((3, 1), 0.3),))

    [pulls] = weight_pressure(half, LAB_DIRECT, slice(None))

    assert list(signs(pulls[:, :, 0])) == ["-0-", "0++", "00-", "+++", "0++", "-0-"]


def test_pulls_up_and_down_add_up_to_the_weight_delta() -> None:
    network = initial_network(LAB, Recipe(), 5)
    up, down = total_pressure(network, LAB)

    for d, pulls in enumerate(weight_pressure(network, LAB, slice(None))):
        assert (up[d] >= 0).all()
        assert (down[d] <= 0).all()
        np.testing.assert_allclose(up[d] + down[d], pulls.sum(axis=0), atol=1e-12)


def test_patterns_are_all_there_are() -> None:
    all_of_three = patterns(3, (-1.0, 1.0))

    assert all_of_three.shape == (8, 3)
    assert len(np.unique(all_of_three, axis=0)) == 8
    assert set(all_of_three.ravel()) == {-1.0, 1.0}
