"""Tests of the network: equal scores for one row and for batches, and the checks of its weights."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streetlight.model.network import (
    BLOCK_ROWS,
    MAX_NARROW_NODES,
    Network,
    forward_of_row,
    relu,
    relu_of_row,
)
from tests.model.bits import assert_same_bits

numbers = st.floats(-100, 100)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    size = st.integers(1, 5) | st.just(MAX_NARROW_NODES + 1)
    sizes = [*draw(st.lists(size, min_size=1, max_size=4)), 1]
    return Network(
        tuple(
            draw(arrays(np.float64, (rows, columns), elements=numbers))
            for rows, columns in pairwise(sizes)
        ),
        draw(st.sampled_from(["relu", "linear"])),
        draw(st.floats(0.1, 100)),
    )


@given(networks(), st.data())
def test_a_row_has_the_same_score_alone_and_in_a_batch(
    network: Network, data: st.DataObject
) -> None:
    shape = (data.draw(st.integers(1, 6)), network.light_count)
    lights = data.draw(arrays(np.float64, shape, elements=numbers))

    alone = np.array([network.score(row) for row in lights.tolist()])

    assert_same_bits(network.scores(lights), alone)


@given(networks())
def test_scores_are_the_matrix_products(network: Network) -> None:
    lights = np.linspace(-1, 1, 7 * network.light_count).reshape(7, -1)
    layer = lights / network.scale
    for matrix in network.weights[:-1]:
        layer = layer @ matrix
        layer = np.maximum(layer, 0) if network.activation == "relu" else layer
    expected = (layer @ network.weights[-1])[:, 0]

    np.testing.assert_allclose(network.scores(lights), expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("width", [2, MAX_NARROW_NODES + 1])
def test_batches_of_several_blocks_are_scored(width: int) -> None:
    network = Network((np.arange(1.0, width + 1).reshape(-1, 1),))
    lights = np.arange(float(width * (9 * BLOCK_ROWS + 1))).reshape(-1, width)

    assert_same_bits(network.scores(lights), lights @ np.arange(1.0, width + 1))


@pytest.mark.parametrize("second", [1e200, -1e200])
def test_an_overflow_gives_a_score_that_is_not_finite(second: float) -> None:
    """The sums of the first layer are inf, or NaN for weights of different sign."""
    network = Network((np.array([[1e200], [second]]), np.array([[1.0]])))
    lights = [1e200, 1e200]

    assert not np.isfinite(network.score(lights))
    assert not np.isfinite(network.scores(np.array([lights])))[0]


def test_weights_have_the_lab_s_names() -> None:
    network = Network((np.ones((3, 4)), np.ones((4, 1))))

    assert list(network.named_weights) == ["weights_0_1", "weights_1_2"]
    assert (network.light_count, network.hidden_sizes) == (3, (4,))


def test_repr_does_not_show_the_weights() -> None:
    assert repr(Network((np.ones((3, 4)), np.ones((4, 1))))) == "Network(3-4-1, relu)"


def test_weights_are_read_only() -> None:
    network = Network((np.ones((3, 1)),))

    with pytest.raises(ValueError, match="read-only"):
        network.weights[0][0] = 2


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((), "expected weight matrices"),
        ((np.ones(3),), "expected weight matrices"),
        ((np.ones((3, 4)),), "end in one output"),
        ((np.ones((3, 4)), np.ones((5, 1))), "chain"),
        ((np.array([[np.nan]]),), "finite"),
    ],
)
def test_invalid_weights_are_refused(weights: tuple[np.ndarray, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Network(weights)


def test_an_invalid_scale_or_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="scale above 0"):
        Network((np.ones((3, 1)),), scale=0)
    with pytest.raises(ValueError, match="relu or linear"):
        Network((np.ones((3, 1)),), activation="tanh")  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [4, MAX_NARROW_NODES + 1])
def test_lights_of_any_dtype_are_scored_in_double_precision(width: int) -> None:
    network = Network((np.full((2, width), 0.1), np.full((width, 1), 0.7)), scale=3.0)
    lights = np.array([[1, 2], [5, 1]])

    for dtype in (np.float32, np.int8, np.bool_):
        typed = lights.astype(dtype)
        scores = network.scores(typed)
        assert_same_bits(scores, network.scores(typed.astype(np.float64)))
        assert_same_bits(scores, [network.score(row) for row in typed.tolist()])


def test_weights_are_converted_to_c_contiguous_doubles() -> None:
    [weights] = Network((np.asfortranarray([[1], [2]]),)).weights
    assert weights.dtype == np.float64
    assert weights.flags.c_contiguous
    [weights, _] = Network((np.asfortranarray(np.eye(2)), np.ones((2, 1)))).weights
    assert weights.flags.c_contiguous


def test_weight_count_counts_all_matrices() -> None:
    assert Network((np.ones((3, 4)), np.ones((4, 1)))).weight_count == 16


def test_a_scale_must_be_finite() -> None:
    with pytest.raises(ValueError, match="scale"):
        Network((np.ones((1, 1)),), scale=np.inf)


def test_relu_has_no_negative_zero_and_keeps_nan() -> None:
    nodes = [-1.0, -0.0, 0.0, 2.0, np.nan]

    assert_same_bits(relu(np.array(nodes)), [0.0, 0.0, 0.0, 2.0, np.nan])
    assert_same_bits(relu_of_row(nodes), [0.0, 0.0, 0.0, 2.0, np.nan])


def test_nan_scores_raise_no_error() -> None:
    network = Network((np.array([[1e10, 1e10], [1e10, -1e10]]), np.array([[1.0], [-1.0]])))

    assert np.isnan(network.scores(np.array([[1e300, 0.0]]))).all()


def test_a_row_of_a_large_network_needs_no_plain_floats() -> None:
    random = np.random.RandomState(0)
    network = Network((random.randn(3, 200), random.randn(200, 1)))
    weights = [matrix.T.tolist() for matrix in network.weights]

    score = network.score([1, 0, 1])

    assert "columns" not in vars(network)
    assert [score] == forward_of_row(weights, [1, 0, 1], "relu")[-1]
