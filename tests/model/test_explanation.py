"""Tests of explanations: contributions, counterfactuals and the lab's Weight Pressure table."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import LAB, LAB_DIRECT, Dataset
from streetlight.model.explanation import explain_score, patterns, total_pressure, weight_pressure
from streetlight.model.network import BLOCK_ROWS, Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.descent import weight_deltas
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

    explanation = explain_score(network, lights, ON_OFF)

    assert explanation.score == network.score(lights)
    assert sum(explanation.contributions) == pytest.approx(explanation.score, abs=1e-12)
    assert [len(layer) for layer in explanation.layers] == [3, *sizes, 1]
    assert [len(mask) for mask in explanation.active] == list(sizes)


def test_contributions_of_a_two_layer_network_are_lights_times_weights() -> None:
    network = Network((np.array([[0.5], [0.25], [-1.0]]),), scale=2.0)

    assert explain_score(network, [2, 4, 1], ON_OFF).contributions == [0.5, 0.5, -0.5]


def test_nodes_above_0_are_active() -> None:
    explanation = explain_score(NETWORK, [1, 0, 1], ON_OFF)

    assert explanation.active == [[False, True, False, False]]
    assert explanation.layers[1][1] > 0
    assert [explanation.layers[1][node] for node in (0, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize("lights", [[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
def test_the_counterfactual_changes_the_decision(lights: list[float]) -> None:
    flip = explain_score(NETWORK, lights, ON_OFF).flip

    assert flip is not None
    flipped = [flip.now if i == flip.light else light for i, light in enumerate(lights)]
    assert flip.was == lights[flip.light] != flip.now
    assert flip.score == NETWORK.score(flipped)
    assert (flip.score > 0.501) != (NETWORK.score(lights) > 0.501)


def test_the_counterfactual_is_the_smallest_change() -> None:
    network = Network((np.array([[1.0], [1.0]]),))

    flip = explain_score(network, [0.4, 0.3], ON_OFF).flip

    assert flip is not None
    assert (flip.light, flip.was, flip.now) == (1, 0.3, 0.0)


def test_there_is_no_counterfactual_if_no_single_light_changes_the_decision() -> None:
    assert explain_score(Network((np.zeros((3, 1)),)), [1, 1, 1], ON_OFF).flip is None


def signs(pressure: np.ndarray) -> Iterator[str]:
    for row in pressure:
        yield "".join("+" if value > 0 else "-" if value < 0 else "0" for value in row)


def test_weight_pressure_equals_the_lab_s_table() -> None:
    """All scores are between stop and walk, so walk has positive and stop negative pressure."""
    network = Network((np.full((3, 1), 0.3),))

    [pressure] = weight_pressure(network, LAB_DIRECT, slice(None))

    assert list(signs(pressure[:, :, 0])) == ["-0-", "0++", "00-", "+++", "0++", "-0-"]


def test_positive_and_negative_pressure_add_up_to_the_weight_delta_of_full_descent() -> None:
    random = np.random.default_rng(0)
    rows = 2 * BLOCK_ROWS + 1
    dataset = Dataset(random.uniform(0, 2, (rows, 3)), random.integers(0, 2, rows).astype(float))
    network = initial_network(dataset, Recipe(), 5)
    deltas, _ = weight_deltas(
        network.weights,
        dataset.lights / network.scale,
        dataset.walk_vs_stop,
        network.activation,
        np.ones(len(dataset)),
    )

    for up, down, delta in zip(*total_pressure(network, dataset), deltas, strict=True):
        assert (up >= 0).all()
        assert (down <= 0).all()
        np.testing.assert_allclose(up + down, delta, atol=1e-9)


def test_the_pressure_of_a_grouped_row_is_that_of_its_observations() -> None:
    dataset = Dataset(LAB_DIRECT.lights[[0, 1, 0, 0]], np.array([0.0, 1.0, 1.0, 0.0]))
    network = initial_network(dataset, Recipe(), 5)
    grouped = weight_pressure(network, dataset.grouped(), slice(None))

    for alone, together in zip(
        weight_pressure(network, dataset, slice(None)), grouped, strict=True
    ):
        np.testing.assert_allclose(alone[[0, 2, 3]].sum(axis=0), together[0], atol=1e-15)


def test_the_sums_of_the_pressures_take_little_memory() -> None:
    """An array of all 2,048 rows and 16,896 weights would take 264 MiB."""
    random = np.random.default_rng(0)
    dataset = Dataset(random.integers(0, 2, (2048, 65)) / 1, random.integers(0, 2, 2048) / 1)
    network = initial_network(dataset, Recipe((256,)), 1)
    assert network.weight_count == 16_896
    tracemalloc.start()
    try:
        total_pressure(network, dataset)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 * 2**20


def test_patterns_are_all_combinations_of_off_and_on() -> None:
    assert patterns(2, (-1.0, 1.0)).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert len(np.unique(patterns(3, ON_OFF), axis=0)) == 8


def test_the_nearest_of_several_counterfactuals_is_returned() -> None:
    network = Network((np.array([[1.0], [2.0]]),))
    nearest = explain_score(network, [0.1, 0.6], ON_OFF).flip

    assert nearest is not None
    assert (nearest.light, nearest.was, nearest.now, nearest.decision) == (1, 0.6, 0.0, "stop")
    assert nearest.score == network.score([0.1, 0.0])
    switched_on = explain_score(network, [-0.9, 0.3], (-1.0, 1.0)).flip
    assert switched_on is not None
    assert (switched_on.light, switched_on.now, switched_on.decision) == (1, 1.0, "walk")


def test_contributions_and_pressures_have_no_negative_zero() -> None:
    network = Network((np.array([[-1.0, 2.0], [1.0, 1.0]]), np.array([[-1.0], [1.0]])))
    dataset = Dataset(np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([0.0, 0.0]))

    for lights in dataset.lights.tolist():
        assert not np.signbit(explain_score(network, lights, ON_OFF).contributions)[0]
    for pressure in weight_pressure(network, dataset, slice(0, 2)):
        assert not np.signbit(pressure[pressure == 0]).any()


def test_explaining_lights_that_overflow_raises_no_error() -> None:
    network = Network((np.array([[1e10, -1e10], [1e10, 1e10]]), np.array([[1.0], [1.0]])))

    assert not np.isfinite(explain_score(network, [1e300, -1e300], ON_OFF).score)
