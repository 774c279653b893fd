"""Tests of the page's arithmetic: the browser's networks have the bits of the service's."""

import json
import math
import os
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Error, Page

from streetlight.model.dataset import LAB_DATASETS, THRESHOLD
from streetlight.model.network import MAX_NARROW_NODES
from streetlight.model.recipe import BOUNDS
from streetlight.model.training.fit import random_weights
from tests.page.browser import chromium, needs_browser
from tests.page.stage_page import step_body
from tests.server import DEADLINE, ForkedServer, Server

pytestmark = needs_browser

CASES = 100
ROUNDS = [1, pytest.param(int(os.environ.get("STORM_ROUNDS", "3")), marks=pytest.mark.storm)]

# Rows of the pressure that are compared; the sums are of all rows.
LISTED = 10

IMPORT = """() => Promise.all(
  ["experiment", "requests", "pressure"].map((name) => import(`/page/learning/${name}.js`)))"""
# Each case is trained for whole passes, then to the middle of a pass, and then by one more step.
TRAIN = """async (cases) => {
  const [{ Experiment }, { fitBody, pressureBody }, { pressure }] = await Promise.all(
    ["experiment", "requests", "pressure"].map((name) => import(`/page/learning/${name}.js`)));
  const state = (experiment) => ({
    weights: experiment.weights, errors: [...experiment.errors], scale: experiment.scale,
    batch: experiment.batch, diverged: experiment.diverged,
    fit: JSON.stringify(fitBody(experiment)),
  });
  return cases.map(({ setup, passes, steps }) => {
    const experiment = new Experiment(setup);
    for (let i = 0; i < passes; i += 1) experiment.takePass();
    const whole = state(experiment);
    for (let i = 0; i < steps; i += 1) experiment.takeStep();
    const { inputs, outcomes, weights } = experiment;
    const table = pressure(weights, inputs, outcomes, setup.activation);
    const listed = JSON.stringify({ ...pressureBody(experiment), limit: LISTED });
    const results = {
      whole, middle: state(experiment), pressureBody: listed,
      pressure: { ...table, rows: table.rows.slice(0, LISTED) },
    };
    return setup.batchSize === 1 ? { ...results, step: experiment.takeStep() } : results;
  });
}""".replace("LISTED", str(LISTED))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"max_multiplications": 10**11}
    with ForkedServer(tmp_path_factory.mktemp("learning"), **settings) as server:
        yield server


@pytest.fixture(scope="module")
def page(site: Server) -> Iterator[Page]:
    """A page with the server's origin, to import the modules that it serves."""
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(1000 * DEADLINE)
        for attempt in range(5):
            page.goto(f"{site.url}/page/icon.svg")
            try:
                page.evaluate(IMPORT)
                break
            except Error:
                # Another storm has changed the machine's network, which ends a browser's requests.
                assert attempt < 4
        yield page


def draw_case(draw: random.Random) -> dict[str, Any]:
    """Return the setup of an experiment, and for how long to train it."""
    rows = draw.choice([1, 2, 3, 4, 6, 6, 8, 9, 13, 40, 150])
    if draw.random() < 0.03:
        rows = draw.choice([300, 2050, 2500])
    lights = draw.choice([1, 2, 3, 3, 3, 4, 16])
    value: Callable[[], float] = draw.choice(
        [
            lambda: draw.choice([0, 1]),
            lambda: draw.choice([0, 0.25, 0.5, 1]),
            lambda: draw.choice([-1, 1]),
            lambda: draw.uniform(-1, 1),
            lambda: draw.uniform(-1, 1) * 1e12,
            lambda: draw.choice([0, 255]),
            lambda: draw.uniform(0, 1e-9),
        ]
    )
    depth = draw.choice([0, 1, 1, 1, 2, 3, 4, 8])
    sizes = [draw.choice([1, 2, 3, 4, 4, 8, 16]) for _ in range(depth)]
    if draw.random() < 0.02:
        lights, sizes = 16, [16] * 8  # more weights than the service's row pass has
    alpha = draw.choice([0.01, 0.1, 0.2, 1.0, 10 ** draw.uniform(-9, 0.5), 1e3])
    passes = draw.randint(0, 3 if rows > 100 else 20)
    start = None
    if draw.random() < 0.3:
        shapes = zip([lights, *sizes], [*sizes, 1], strict=True)
        start = [
            [[draw.choice([0, 0.5, -0.5, draw.gauss(0, 1)]) for _ in range(m)] for _ in range(n)]
            for n, m in shapes
        ]
    return {
        "setup": {
            "lights": [[value() for _ in range(lights)] for _ in range(rows)],
            "outcomes": [draw.choice([0, 1]) for _ in range(rows)],
            "scale": draw.choice([None, None, 1, 3.7]),
            "hiddenSizes": sizes,
            "activation": draw.choice(["relu", "relu", "linear"]),
            "alpha": alpha,
            "batchSize": draw.choice([1, 1, 2, 3, 9, None]),
            "weightDecay": draw.choice([0, 0, 0.01, 0.3, 1 / alpha]),
            "l1Penalty": draw.choice([0, 0, 0.01, 0.3]),
            "seed": draw.choice([1, draw.randint(0, 2**31)]),
            "start": start,
        },
        "passes": passes,
        "steps": draw.randint(0 if passes else 1, 5),
    }


def lab_case(dataset: str, **setup: Any) -> dict[str, Any]:
    rows = LAB_DATASETS[dataset]
    defaults = {
        "lights": rows.lights.tolist(),
        "outcomes": rows.walk_vs_stop.tolist(),
        "scale": None,
        "hiddenSizes": [4],
        "activation": "relu",
        "alpha": 0.2,
        "batchSize": 1,
        "weightDecay": 0,
        "l1Penalty": 0,
        "seed": 1,
        "start": None,
    }
    return {"setup": defaults | setup, "passes": 60, "steps": 2}


def bits(numbers: Any, zero: float = 0.0) -> list[str]:
    """Return each number of nested lists and dictionaries in hexadecimal, which is exact.

    Adding a `zero` of 0.0 makes -0.0 equal to 0.0, because JSON of JavaScript has no -0.0 for a
    request; adding -0.0 changes nothing.
    """
    if isinstance(numbers, (list, dict)):
        values = numbers.values() if isinstance(numbers, dict) else numbers
        return [digits for value in values for digits in bits(value, zero)]
    return [(float(numbers) + zero).hex()]


def check_fit(site: Server, state: dict[str, Any]) -> None:
    """Compare the state of an experiment with the response to its request."""
    if state["fit"] == "null":
        return
    response = site.request("POST", "/fit", state["fit"])
    result = response.json()
    if state["diverged"]:
        assert state["diverged"] in result["error"]
    elif response.status == 400:
        assert "no score overflows" in result["error"]  # it diverges in the next pass
    else:
        assert response.status == 200, result
        zero = 0.0 if state["batch"] else -0.0
        assert bits(state["weights"], zero) == bits(result["network"]["weights"], zero)
        assert bits([state["scale"]]) == bits([result["network"]["scale"]])
        if state["batch"] == 0:
            assert bits(state["errors"]) == bits(result["errors"])


def check_pressure(site: Server, experiment: dict[str, Any]) -> None:
    response = site.request("POST", "/pressure", experiment["pressureBody"])
    if response.status == 400:
        return  # a pressure overflows
    result = response.json()
    assert response.status == 200, result
    table = experiment["pressure"]
    assert bits(table["rows"]) == bits([row["pressure"] for row in result["rows"]])
    for total in ("up", "down", "sum"):
        assert bits(table[total]) == bits(result[total])


def check_step(site: Server, setup: dict[str, Any], experiment: dict[str, Any]) -> None:
    step, network = experiment["step"], json.loads(experiment["pressureBody"])["network"]
    body = step_body(setup, experiment["middle"]["batch"], network)
    response = site.request("POST", "/step", body)
    if response.status == 400:
        return  # a score or a weight overflows
    result = response.json()
    assert response.status == 200, result
    assert bits(step["layers"][0]) == bits(result["layers"])
    assert bits(step["deltas"][0]) == bits(result["deltas"])
    assert bits(step["weightDeltas"]) == bits(result["weight_deltas"])
    assert bits([step["error"]]) == bits([result["error"]])
    assert bits(step["after"]) == bits(result["network"]["weights"])


def compare(page: Page, site: Server, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Train each case in the browser and on the server, and return the browser's results."""
    experiments: list[dict[str, Any]] = page.evaluate(TRAIN, cases)
    for case, experiment in zip(cases, experiments, strict=True):
        try:
            check_fit(site, experiment["whole"])
            check_fit(site, experiment["middle"])
            check_pressure(site, experiment)
            if experiment.get("step"):
                check_step(site, case["setup"], experiment)
        except AssertionError as error:
            error.add_note(json.dumps(case)[-3000:])
            raise
    return experiments


@pytest.mark.parametrize("rounds", ROUNDS)
def test_weights_and_errors_have_the_bits_of_the_service(
    page: Page, site: Server, rounds: int
) -> None:
    draw = random.Random("learning" if rounds == 1 else None)  # noqa: S311 - no secret
    for _ in range(rounds):
        compare(page, site, [draw_case(draw) for _ in range(CASES)])


def test_the_labs_runs_are_the_services_from_their_short_requests(page: Page, site: Server) -> None:
    cases = [
        lab_case("one-light", hiddenSizes=[], alpha=0.1),
        lab_case("six", hiddenSizes=[], alpha=0.1, batchSize=None),
        lab_case("two-rows", hiddenSizes=[], start=[[[0.5], [0], [-0.5]]]),
        lab_case("four"),
        lab_case("four", hiddenSizes=[4, 4, 4, 4], activation="linear", alpha=0.01),
    ]
    first, *_, four, _deep = compare(page, site, cases)
    assert json.loads(first["whole"]["fit"]) == {
        "dataset": "one-light",
        "recipe": {
            "seed": 1,
            "hidden_sizes": [],
            "activation": "relu",
            "alpha": 0.1,
            "batch_size": 1,
            "iterations": 60,
        },
    }
    assert four["whole"]["errors"][-1] == pytest.approx(1.50556226651e-05)  # as in the lab
    # Two steps later, the request has the weights before the pass, and the rows of these steps.
    middle = json.loads(four["middle"]["fit"])
    assert (len(middle["rows"]), middle["recipe"]["iterations"]) == (2, 1)
    assert bits(middle["network"]["weights"]) == bits(four["whole"]["weights"])


def test_a_weight_of_zero_has_the_sign_of_the_services(page: Page, site: Server) -> None:
    # Where alpha times the L2 penalty is 1, an update begins with the weight times 0. The sign of
    # the sum depends on whether the service makes a row pass, as it does up to 2,000 weights.
    lights = [[0] * 8 + [1] * 8]
    setup = {"lights": lights, "outcomes": [0], "alpha": 1, "weightDecay": 1}
    cases = [
        lab_case("four", **setup, hiddenSizes=sizes, batchSize=batch_size, activation="linear")
        for sizes in ([], [16] * 3, [16] * 8)
        for batch_size in (1, 2)
    ]
    experiments = compare(page, site, [case | {"passes": 1} for case in cases])
    zeros = [
        weight
        for experiment in experiments
        for matrix in experiment["whole"]["weights"]
        for line in matrix
        for weight in line
        if weight == 0
    ]
    assert {math.copysign(1, zero) for zero in zeros} == {1, -1}


def test_a_training_diverges_with_the_sentence_of_the_service(page: Page, site: Server) -> None:
    cases = [
        lab_case("six", hiddenSizes=[], alpha=123456.75),
        lab_case("six", hiddenSizes=[4], activation="linear", alpha=1e9, batchSize=4),
        lab_case("four", activation="linear", alpha=0.00001, weightDecay=1e9, batchSize=None),
    ]
    diverged = [experiment["whole"]["diverged"] for experiment in compare(page, site, cases)]
    for sentence, alpha in zip(diverged, ["123457", "1e+09", "1e-05"], strict=True):
        assert sentence.endswith(f"; try a smaller alpha than {alpha}")


def test_random_weights_are_those_of_every_seed(page: Page) -> None:
    sizes, seeds = [16, 16, 16, 3, 1], [0, 1, 2, 624, 2**31 - 1, 2**31]
    drawn = page.evaluate(
        """async ([sizes, seeds]) => {
          const { randomWeights } = await import("/page/learning/random.js");
          return seeds.map((seed) => randomWeights(sizes, seed));
        }""",
        [sizes, seeds],
    )
    for seed, weights in zip(seeds, drawn, strict=True):
        expected = [matrix.tolist() for matrix in random_weights(sizes[0], sizes[1:-1], seed)]
        assert bits(weights) == bits(expected)


def test_constants_are_those_of_the_service(page: Page) -> None:
    constants = page.evaluate(
        """async () => {
          const { THRESHOLD } = await import("/page/learning/network.js");
          const { BOUNDS, MAX_NODES } = await import("/page/learning/setup.js");
          const { DATASETS } = await import("/page/learning/datasets.js");
          return { THRESHOLD, BOUNDS, MAX_NODES, DATASETS };
        }"""
    )
    assert constants["THRESHOLD"] == THRESHOLD
    assert constants["MAX_NODES"] == MAX_NARROW_NODES
    for name, bounds in constants["BOUNDS"].items():
        field = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
        assert tuple(bounds) == BOUNDS[field]
    assert list(constants["DATASETS"]) == list(LAB_DATASETS)
    for name, rows in LAB_DATASETS.items():
        assert constants["DATASETS"][name] == {
            "lights": rows.lights.tolist(),
            "outcomes": rows.walk_vs_stop.tolist(),
        }


def test_a_linear_network_equals_a_two_layer_network(page: Page) -> None:
    drawn = [matrix.tolist() for matrix in random_weights(3, [4, 5, 2], 7)]
    [collapsed, score, expected] = page.evaluate(
        """async (weights) => {
          const { forward } = await import("/page/learning/network.js");
          const { collapse } = await import("/page/learning/collapse.js");
          const lights = [1, 0.5, -1];
          const score = (network) => forward(network, lights, "linear").at(-1)[0];
          return [collapse(weights), score(collapse(weights)), score(weights)];
        }""",
        drawn,
    )
    assert np.shape(collapsed) == (1, 3, 1)
    assert score == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ({"lights": []}, "lights: expected from 1 to 10000 rows, got 0"),
        ({"lights": [[1, 0], [1]]}, "lights: expected 2 lights in row 2, as in the first row"),
        ({"lights": [[1, None]]}, "lights: expected finite numbers in row 1, got null"),
        ({"lights": [[0] * 17]}, "lights: expected from 1 to 16 lights, got 17"),
        ({"outcomes": [1]}, "outcomes: expected 4 outcomes, one for each row, got 1"),
        ({"outcomes": [1, 0, 0.5, 1]}, "outcomes: expected 1 (walk) or 0 (stop) in row 3, got 0.5"),
        ({"scale": 0}, "scale: expected a number above 0 or null, got 0"),
        ({"hiddenSizes": [4] * 9}, "hiddenSizes: expected at most 8 hidden layers, got 9"),
        ({"hiddenSizes": [17]}, "hiddenSizes: expected from 1 to 16 nodes in a layer, got 17"),
        ({"activation": "tanh"}, "activation: expected relu or linear, got tanh"),
        ({"alpha": 0}, "alpha: expected a number from 0.000000001 to 1000000000, got 0"),
        ({"batchSize": 1.5}, "batchSize: expected a whole number from 1 to 1000000000, got 1.5"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 2147483648, got -1"),
        ({"start": [[[1]] * 3]}, "start: expected 2 weight matrices, got 1"),
        ({"start": [[[1]] * 3, [[1]]]}, "start: expected 3 rows of 4 weights in weights_0_1"),
        ({"start": [[[1e300] * 4] * 3, [[1e300]] * 4]}, "no error overflows before the training"),
    ],
    ids=str,
)
def test_an_invalid_setup_is_an_error_of_its_field(
    page: Page, setup: dict[str, Any], message: str
) -> None:
    error = page.evaluate(
        """async (setup) => {
          const { Experiment } = await import("/page/learning/experiment.js");
          try { new Experiment(setup); } catch ({ field, message }) { return { field, message }; }
        }""",
        lab_case("four", **setup)["setup"],
    )
    assert error["field"] in setup
    assert message in error["message"]
