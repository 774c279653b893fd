"""Tests of training: gradients, batch sizes, restarts, early stopping and the bounds of recipes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streetlight.model.dataset import LAB, LAB_DIRECT, Dataset
from streetlight.model.network import BLOCK_ROWS, Network, blocks
from streetlight.model.recipe import BOUNDS, Recipe
from streetlight.model.report import error_curve
from streetlight.model.training.batches import divide
from streetlight.model.training.descent import pass_by_batches, weight_deltas
from streetlight.model.training.fit import (
    Progress,
    TrainingDivergedError,
    fit,
    gradient_descent,
    initial_network,
    squared_error,
)
from tests.model.bits import assert_same_bits


@st.composite
def problems(draw: st.DrawFn) -> tuple[Network, Dataset]:
    """Draw a random network and a random dataset for it."""
    light_count = draw(st.integers(1, 4))
    rows = draw(st.integers(1, 6))
    recipe = Recipe(
        hidden_sizes=tuple(draw(st.lists(st.integers(1, 4), max_size=3))),
        activation=draw(st.sampled_from(["relu", "linear"])),
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    dataset = Dataset(
        random.uniform(-2, 2, (rows, light_count)),
        random.uniform(0, 1, rows),
        random.integers(1, draw(st.sampled_from([1, 40])), rows, endpoint=True),
    )
    return initial_network(dataset, recipe, draw(st.integers(0, 1000))), dataset


@given(problems())
def test_weight_deltas_are_minus_half_the_gradient_by_finite_differences(
    problem: tuple[Network, Dataset],
) -> None:
    network, dataset = problem
    layer_0 = dataset.lights / network.scale
    # A finite difference across 0 isn't the gradient of relu.
    assume(all((np.abs(layer) > 1e-4).all() for layer in network.layers(dataset.lights)[1:-1]))
    deltas, error = weight_deltas(
        network.weights,
        layer_0,
        dataset.walk_vs_stop,
        network.activation,
        dataset.counts.astype(float),
    )

    assert error == pytest.approx(squared_error(network, dataset))
    step = 1e-6
    for d, matrix in enumerate(network.weights):
        for at in np.ndindex(matrix.shape):
            errors = []
            for sign in (1, -1):
                weights = [m.copy() for m in network.weights]
                weights[d][at] += sign * step
                moved = replace(network, weights=tuple(weights))
                scores = moved.scores(dataset.lights)
                squares = (dataset.walk_vs_stop - scores) ** 2
                errors.append(float((dataset.counts * squares).sum()))
            gradient = (errors[0] - errors[1]) / (2 * step)
            assert deltas[d][at] == pytest.approx(-gradient / 2, rel=1e-4, abs=1e-6)


def with_zeros(network: Network, dataset: Dataset) -> tuple[Network, Dataset]:
    """Replace some weights by -0.0 and some lights by 0.0, so that sums of zeros occur."""
    random = np.random.default_rng(0)

    def replaced(array: np.ndarray) -> np.ndarray:
        return np.where(random.random(array.shape) < 0.5, -0.0, array)

    weights = tuple(replaced(matrix) for matrix in network.weights)
    return replace(network, weights=weights), replace(dataset, lights=replaced(dataset.lights))


@given(
    problems(),
    st.floats(0.001, 0.3),
    st.floats(0, 0.1),
    st.floats(0, 0.1) | st.just(0.0),
    st.booleans(),
)
def test_the_generated_row_pass_equals_batches_of_one_row_bit_for_bit(
    problem: tuple[Network, Dataset],
    alpha: float,
    weight_decay: float,
    l1_penalty: float,
    zeros: bool,
) -> None:
    network, dataset = with_zeros(*problem) if zeros else problem
    recipe = Recipe(
        alpha=alpha,
        weight_decay=weight_decay,
        l1_penalty=l1_penalty,
        iterations=5,
        activation=network.activation,
    )
    try:
        by_rows, _ = gradient_descent(network, dataset, recipe)
    except TrainingDivergedError:
        return
    weights = [matrix.copy() for matrix in network.weights]
    batches = divide(dataset.counts, 1)
    alphas = (alpha * batches.shares).tolist()
    for _ in range(recipe.iterations):
        pass_by_batches(
            weights,
            dataset.lights / network.scale,
            dataset.walk_vs_stop,
            importance=batches.importance,
            bounds=batches.bounds,
            alphas=alphas,
            weight_decay=weight_decay,
            l1_penalty=l1_penalty,
            activation=network.activation,
        )

    for generated, batched in zip(by_rows.weights, weights, strict=True):
        # Adding 0.0 turns -0.0 into 0.0: only the row pass keeps a weight of -0.0 that isn't moved.
        assert_same_bits(generated + 0.0, batched + 0.0)


@given(problems())
def test_a_batch_moves_the_weights_by_the_average_over_its_observations(
    problem: tuple[Network, Dataset],
) -> None:
    network, dataset = problem
    recipe = Recipe(iterations=1, batch_size=None, alpha=0.1, activation=network.activation)
    deltas, _ = weight_deltas(
        network.weights,
        dataset.lights / network.scale,
        dataset.walk_vs_stop,
        network.activation,
        dataset.counts.astype(float),
    )

    after, errors = gradient_descent(network, dataset, recipe)

    assert errors == pytest.approx([squared_error(network, dataset)])
    for before, now, delta in zip(network.weights, after.weights, deltas, strict=True):
        observations = dataset.counts.sum()
        np.testing.assert_allclose(now, before + 0.1 * delta / observations, atol=1e-12)


def test_full_descent_over_many_blocks_is_the_sum_over_all_rows() -> None:
    random = np.random.default_rng(0)
    assert 1000 < BLOCK_ROWS < 5000
    many = Dataset(random.uniform(0, 1, (5000, 3)), random.integers(0, 2, 5000).astype(float))
    network = initial_network(many, Recipe(), 1)
    layer_0 = many.lights / many.scale

    whole, _ = weight_deltas(network.weights, layer_0, many.walk_vs_stop, "relu", np.ones(5000))

    parts = [
        weight_deltas(
            network.weights, layer_0[part], many.walk_vs_stop[part], "relu", np.ones(1000)
        )[0]
        for part in blocks(5000, 1000)
    ]
    for total, *summands in zip(whole, *parts, strict=True):
        np.testing.assert_allclose(total, sum(summands), rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_stochastic_batch_and_full_descent_all_learn(batch_size: int | None) -> None:
    training = fit(LAB, Recipe(batch_size=batch_size, iterations=500))

    assert training.converged
    assert training.accuracy == 1


def test_weight_decay_gives_smaller_weights() -> None:
    plain, decayed = (
        fit(
            LAB_DIRECT,
            Recipe(
                hidden_sizes=(), iterations=30, alpha=0.1, weight_decay=decay, target_error=None
            ),
        ).network.weights[0]
        for decay in (0.0, 0.05)
    )

    assert np.abs(decayed).sum() < np.abs(plain).sum()


def test_weight_decay_alone_shrinks_every_weight_by_the_same_factor() -> None:
    dark = Dataset(np.zeros((1, 2)), np.zeros(1))
    network = Network((np.array([[1.0], [-2.0]]),))

    after, _ = gradient_descent(network, dark, Recipe(alpha=0.1, weight_decay=0.5, iterations=2))

    np.testing.assert_allclose(after.weights[0], network.weights[0] * 0.95**2)


@pytest.mark.parametrize(("width", "batch_size"), [(2, 1), (2, None), (40, 1), (40, None)])
def test_an_update_follows_the_gradient_with_its_penalties_by_finite_differences(
    width: int, batch_size: int | None
) -> None:
    """At a weight of 0 the L1 penalty has a slope on each side, and both may lead upwards."""
    decay, penalty, step, alpha = 0.05, 0.4, 1e-5, 1e-4
    random = np.random.default_rng(width)
    # One row, so that a batch of one row is the whole data.
    dataset = Dataset(random.uniform(0.5, 1, (1, width)), np.array([0.3]))
    zeros = random.random((width, 3)) < 0.4
    weights = (np.where(zeros, 0.0, random.uniform(0.1, 1, (width, 3)) / width), np.ones((3, 1)))
    network = Network(weights, scale=dataset.scale)
    recipe = Recipe(
        alpha=alpha, iterations=1, batch_size=batch_size, weight_decay=decay, l1_penalty=penalty
    )

    after, _ = gradient_descent(network, dataset, recipe)

    def cost(d: int, at: tuple[int, ...], change: float) -> float:
        moved = [matrix.copy() for matrix in weights]
        moved[d][at] += change
        squares = sum(float((matrix**2).sum()) for matrix in moved)
        sizes = sum(float(np.abs(matrix).sum()) for matrix in moved)
        error = squared_error(replace(network, weights=tuple(moved)), dataset)
        return (error + decay * squares) / 2 + penalty * sizes

    stayed = 0
    for d, matrix in enumerate(weights):
        for at in np.ndindex(matrix.shape):
            here = cost(d, at, 0.0)
            upwards, downwards = (cost(d, at, change) - here for change in (step, -step))
            moved_by = after.weights[d][at] - matrix[at]
            if upwards > 0 and downwards > 0:
                assert matrix[at] == moved_by == 0
                stayed += 1
                continue
            slope = -downwards if downwards < 0 else upwards
            assert moved_by / alpha == pytest.approx(-slope / step, rel=2e-3, abs=2e-4)
    assert stayed


def test_the_l1_penalty_moves_a_weight_to_0_and_not_across() -> None:
    dark = Dataset(np.zeros((1, 4)), np.zeros(1))
    network = Network((np.array([[1.0], [-1.0], [0.01], [-0.01]]),))
    for batch_size in (1, None):
        recipe = Recipe(alpha=0.1, l1_penalty=0.5, iterations=2, batch_size=batch_size)
        after, _ = gradient_descent(network, dark, recipe)

        assert_same_bits(after.weights[0] + 0.0, [[0.95 - 0.05], [0.05 - 0.95], [0.0], [0.0]])


def test_a_penalty_does_not_hide_weights_that_become_nan() -> None:
    network = Network((np.array([[1e10, 1e10], [1e10, -1e10]]), np.array([[1.0], [-1.0]])))
    data = Dataset(np.array([[1e300, 0.0]]), np.array([0.0]))
    for batch_size in (1, None):
        with pytest.raises(TrainingDivergedError):
            gradient_descent(
                network, data, Recipe(batch_size=batch_size, iterations=1, l1_penalty=1.0)
            )


def test_a_network_with_two_hidden_layers_learns() -> None:
    training = fit(LAB, Recipe(hidden_sizes=(8, 4), iterations=500))

    assert training.converged
    assert training.network.hidden_sizes == (8, 4)


def test_restarts_try_the_next_seeds_until_the_target_error_is_met() -> None:
    alone = fit(LAB, Recipe(seed=2, restarts=0))
    training = fit(LAB, Recipe(seed=2, restarts=20))

    assert not alone.converged
    assert training.converged
    assert training.seed == 2 + training.runs - 1
    assert training.error == fit(LAB, Recipe(seed=training.seed, restarts=0)).error


def test_the_best_run_is_returned_if_all_miss_the_target_error() -> None:
    recipe = Recipe(hidden_sizes=(), restarts=3)
    alone = [fit(LAB, replace(recipe, seed=seed, restarts=0)).error for seed in range(1, 5)]

    training = fit(LAB, recipe)

    assert not training.converged
    assert (training.runs, training.error) == (4, min(alone))


def test_early_stopping_ends_a_run_at_its_target_error() -> None:
    training = fit(LAB, Recipe(iterations=5000, patience=100))

    assert training.converged
    assert len(training.errors) < 100


def test_early_stopping_ends_a_run_without_a_lower_error() -> None:
    recipe = Recipe(hidden_sizes=(), iterations=5000, patience=5, restarts=0)
    training = fit(LAB, recipe)

    assert not training.converged
    assert len(training.errors) < 500
    assert training.errors[-5:].min() >= training.errors[:-5].min()


def test_early_stopping_without_a_target_error_ends_when_the_error_stops_falling() -> None:
    training = fit(LAB, Recipe(iterations=5000, patience=5, target_error=None))

    assert len(training.errors) < 5000
    assert training.error < 1e-20


@pytest.mark.parametrize("batch_size", [1, None])
def test_a_training_that_diverges_raises_an_error(batch_size: int | None) -> None:
    recipe = Recipe(hidden_sizes=(), alpha=50, iterations=2000, batch_size=batch_size, restarts=2)
    with pytest.raises(TrainingDivergedError, match="try a smaller alpha than 50"):
        fit(LAB, recipe)


def test_weights_that_overflow_in_the_last_update_raise_an_error() -> None:
    """The error of the pass is 1e300, which is finite."""
    network = Network((np.array([[1.0]]), np.array([[1e150]])))
    data = Dataset(np.array([[1.0]]), np.array([0.0]))
    with pytest.raises(TrainingDivergedError, match="the weights overflowed"):
        gradient_descent(network, data, Recipe(alpha=1e9, iterations=1))


def test_a_squared_error_that_overflows_raises_an_error() -> None:
    network = Network((np.array([[1e300]]),))
    data = Dataset(np.array([[1.0]]), np.array([0.0]))
    with pytest.raises(TrainingDivergedError, match="the error became inf in iteration 1"):
        gradient_descent(network, data, Recipe(alpha=1e9, iterations=1))


def test_a_run_that_diverges_is_followed_by_the_next_seed() -> None:
    recipe = Recipe(activation="linear", alpha=0.5, iterations=300, seed=4, target_error=None)
    with pytest.raises(TrainingDivergedError):
        fit(LAB, replace(recipe, restarts=1))

    training = fit(LAB, replace(recipe, restarts=2))

    assert (training.seed, training.runs) == (6, 3)


def test_progress_is_reported_after_each_pass() -> None:
    reports: list[Progress] = []
    training = fit(LAB, Recipe(seed=2), reports.append)

    assert [progress.iteration for progress in reports[:3]] == [1, 2, 3]
    assert [progress.seed for progress in reports[::60]] == list(range(2, training.seed + 1))
    assert [progress.restart for progress in reports[::60]] == list(range(training.runs))
    assert [progress.error for progress in reports[-60:]] == training.errors.tolist()


def test_an_exception_in_the_report_ends_the_training() -> None:
    def cancel(progress: Progress) -> None:
        if progress.iteration == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(LAB, Recipe(), cancel)


@st.composite
def learnable(draw: st.DrawFn) -> Dataset:
    """Draw a dataset with the right light always on.

    A network without biases scores 0 if all lights are off, so it can't learn walk for that state.
    """
    count = draw(st.integers(2, 4))
    states = draw(st.permutations([[a, b, 1.0] for a in (0.0, 1.0) for b in (0.0, 1.0)]))[:count]
    outcomes = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=count, max_size=count))
    return Dataset(np.array(states), np.array(outcomes))


ROBUST = Recipe(hidden_sizes=(8,), iterations=500, restarts=30)


def decisions(network: Network, lights: np.ndarray) -> list[bool]:
    return [bool(score > 0.501) for score in network.scores(lights)]


@given(learnable(), st.integers(0, 1000))
@settings(max_examples=25)
def test_lights_times_ten_and_swapped_outcomes_are_learnt(dataset: Dataset, seed: int) -> None:
    recipe = replace(ROBUST, seed=seed)
    plain = fit(dataset, recipe)
    tenfold = fit(Dataset(dataset.lights * 10, dataset.walk_vs_stop), recipe)
    swapped = fit(Dataset(dataset.lights, 1 - dataset.walk_vs_stop), recipe)

    assert plain.converged
    assert tenfold.converged
    assert swapped.converged
    walks = [outcome == 1 for outcome in dataset.walk_vs_stop]
    assert decisions(plain.network, dataset.lights) == walks
    assert decisions(tenfold.network, dataset.lights * 10) == walks
    assert decisions(swapped.network, dataset.lights) == [not walk for walk in walks]


def test_scaling_the_lights_by_ten_changes_no_bit_of_the_weights() -> None:
    a = Dataset(
        np.array(
            [
                [0.9, 0.0, 1],
                [0.2, 0.8, 1],
                [0.1, 0.0, 1],
                [0.8, 0.9, 1],
                [0.1, 0.7, 1],
                [0.9, 0.1, 0],
            ]
        ),
        np.array([0, 1, 0, 1, 1, 0.0]),
    )
    b = Dataset(np.round(a.lights * 10), a.walk_vs_stop)

    of_a, of_b = (fit(dataset, Recipe(iterations=500, target_error=0.3)) for dataset in (a, b))

    assert of_a.accuracy == 1
    assert of_b.network.scale == 10
    for weights_a, weights_b in zip(of_a.network.weights, of_b.network.weights, strict=True):
        assert_same_bits(weights_a, weights_b)


def test_a_conflicting_state_trains_on_its_mean() -> None:
    conflicting = Dataset(np.array([[1.0, 0], [1, 0], [0, 1]]), np.array([1.0, 0, 1])).grouped()

    training = fit(conflicting, Recipe(iterations=500))

    assert training.network.scores(conflicting.lights) == pytest.approx([0.5, 1], abs=0.1)
    assert training.accuracy == pytest.approx(2 / 3)


def test_an_error_curve_is_thinned_and_keeps_both_ends() -> None:
    errors = np.arange(1000.0)

    curve = error_curve(errors, 5)

    assert curve == [(1, 0.0), (251, 250.0), (501, 500.0), (750, 749.0), (1000, 999.0)]
    assert error_curve(errors[:2], 5) == [(1, 0.0), (2, 1.0)]
    assert error_curve(errors[:0], 5) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("alpha", 0, "alpha: expected a number from 1e-09 to 1e\\+09, got 0"),
        ("alpha", float("nan"), "alpha"),
        (
            "iterations",
            10**12,
            "iterations: expected a whole number from 1 to 1000000, got 10000000",
        ),
        ("iterations", 1.5, "iterations"),
        ("iterations", True, "iterations"),
        ("batch_size", 0, "batch_size"),
        ("seed", -1, "seed"),
        ("restarts", 1001, "restarts"),
        ("patience", 0, "patience"),
        ("weight_decay", -1, "weight_decay"),
        ("l1_penalty", -1, "l1_penalty"),
        ("target_error", float("inf"), "target_error"),
        ("hidden_sizes", (0,), "hidden_sizes\\[0\\]"),
        ("hidden_sizes", (1,) * 9, "hidden_sizes: expected at most 8 layers"),
        ("repeats", "once", 'repeats: expected grouped or kept, got "once"'),
        ("activation", "tanh", 'activation: expected relu or linear, got "tanh"'),
    ],
)
def test_a_recipe_out_of_bounds_is_refused_with_the_field(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Recipe(), **{field: value})  # type: ignore[arg-type]


# With all lights off, the score is 0 and the error is 2 for any weights.
DARK = Dataset(np.zeros((2, 2)), np.ones(2))


def test_the_first_of_equal_runs_is_returned() -> None:
    training = fit(DARK, Recipe(seed=5, restarts=3))

    assert (training.seed, training.runs, training.error) == (5, 4, 2.0)


def test_patience_ends_a_run_after_that_many_passes_without_a_lower_error() -> None:
    recipe = Recipe(patience=5, restarts=0, target_error=None)

    assert fit(DARK, recipe).errors.tolist() == [2.0] * 6
    assert len(fit(DARK, replace(recipe, patience=1)).errors) == 2


def test_an_error_equal_to_the_target_error_meets_it() -> None:
    recipe = Recipe(patience=50, target_error=2.0)
    met = fit(DARK, recipe)
    assert (met.converged, met.runs, len(met.errors)) == (True, 1, 1)

    missed = fit(DARK, replace(recipe, target_error=float(np.nextafter(2.0, 0)), restarts=2))
    assert (missed.converged, missed.runs) == (False, 3)


def test_early_stopping_waits_for_a_pass_that_meets_the_target_error() -> None:
    errors = fit(LAB, Recipe(iterations=5000, patience=100)).errors

    assert errors[-1] <= 0.01 < errors[-2]


def test_the_error_of_a_pass_includes_all_blocks() -> None:
    rows = 2 * BLOCK_ROWS + 1
    dataset = Dataset(np.tile(LAB.lights, (rows, 1))[:rows], np.tile(LAB.walk_vs_stop, rows)[:rows])
    network = initial_network(dataset, Recipe(), 1)

    _, error = weight_deltas(
        network.weights,
        dataset.lights,
        dataset.walk_vs_stop,
        network.activation,
        dataset.counts.astype(float),
    )

    assert error == pytest.approx(squared_error(network, dataset), rel=1e-9)


def test_an_error_that_overflows_is_infinite() -> None:
    assert squared_error(Network((np.array([[1e200]]),)), Dataset(np.ones((1, 1)), np.ones(1))) == (
        np.inf
    )


def test_weights_that_become_nan_raise_an_error() -> None:
    network = Network((np.array([[1e10, 1e10], [1e10, -1e10]]), np.array([[1.0], [-1.0]])))
    data = Dataset(np.array([[1e300, 0.0]]), np.array([0.0]))
    for batch_size in (1, None):
        with pytest.raises(TrainingDivergedError):
            gradient_descent(network, data, Recipe(batch_size=batch_size, iterations=1))


@pytest.mark.parametrize("end", [0, 1])
def test_the_bounds_of_a_recipe_are_allowed(end: int) -> None:
    for name, bounds in BOUNDS.items():
        value = bounds[end]
        changes = {name: (value,) * 8 if name == "hidden_sizes" else value}
        recipe = replace(Recipe(), **changes)  # type: ignore[arg-type]
        assert getattr(recipe, name) == changes[name]


@pytest.mark.parametrize("field", ["alpha", "weight_decay", "l1_penalty", "target_error"])
def test_a_boolean_is_refused_as_a_number(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        replace(Recipe(), **{field: True})  # type: ignore[arg-type]
