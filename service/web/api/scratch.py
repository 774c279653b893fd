"""Scratch networks, which the client holds: train them, and read the pressure on their weights."""

from typing import Annotated

from flask import Blueprint
from pydantic import FailFast, Field
from pydantic.fields import FieldInfo

from streetlight.model.dataset import Dataset, Outcome
from streetlight.model.network import Activation, Network
from streetlight.model.recipe import BOUNDS, Recipe
from streetlight.service.inference import scratch_training
from streetlight.service.inference.limits import OverloadedError, TooExpensiveError
from streetlight.service.inference.pressure import Pressure, pressure_cost, pressure_table
from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.inference.scratch_network import (
    RandomStart,
    ScratchNetwork,
    check_start,
    parse_network,
    random_network,
)
from streetlight.service.inference.scratch_training import FitResult, StepResult
from streetlight.service.validation.fields import WHOLE, After
from streetlight.service.validation.problems import FieldError, Problem
from streetlight.service.validation.request_schema import Schema
from streetlight.service.validation.rows_fields import RowsFields
from streetlight.service.web.application import services
from streetlight.service.web.middleware.admission import admit, check_connected
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("scratch", __name__)

BOUNDED = [TooExpensiveError, OverloadedError]

Matrix = Annotated[list[Annotated[list[float], Field(min_length=1)]], Field(min_length=1)]


class NetworkBody(Schema):
    """A network, in the form of the previous step's response: the weight matrices by name."""

    weights: Annotated[dict[str, Matrix], Field(min_length=1, max_length=9), FailFast()]
    activation: Activation = "relu"
    scale: Annotated[float, Field(gt=0)] = 1.0

    def to_network(self, start: RandomStart) -> Network:
        """Return the network, which `start` must not contradict."""
        network = parse_network(ScratchNetwork(self.weights, self.activation, self.scale))
        check_start(network, start)
        return network


def _bounded(name: str) -> FieldInfo:
    lowest, highest = BOUNDS[name]
    return FieldInfo(ge=lowest, le=highest)


Lights = Annotated[list[float], Field(min_length=1), FailFast()]
HiddenSizes = Annotated[
    tuple[Annotated[int, _bounded("hidden_sizes"), WHOLE], ...], Field(max_length=8)
]


class StartFields(Schema):
    """A random network, the first one of a training with `seed`."""

    seed: Annotated[int, _bounded("seed"), WHOLE] | None = None
    hidden_sizes: HiddenSizes | None = None
    activation: Activation | None = None

    def random_start(self, path: str = "") -> RandomStart:
        """Return the fields; `path` precedes their names in error messages."""
        return RandomStart(self.seed, self.hidden_sizes, self.activation, path)


class TrainingFields(StartFields):
    """The parameters of an update."""

    alpha: Annotated[float, _bounded("alpha")] = Recipe.alpha
    weight_decay: Annotated[float, _bounded("weight_decay")] = Recipe.weight_decay
    l1_penalty: Annotated[float, _bounded("l1_penalty")] = Recipe.l1_penalty


class FitRecipe(TrainingFields):
    """How to train: the fields of a retraining's recipe that one run has."""

    iterations: Annotated[int, _bounded("iterations"), WHOLE] = Recipe.iterations
    batch_size: Annotated[int, _bounded("batch_size"), WHOLE] | None = Recipe.batch_size


class FitBody(RowsFields):
    """Rows, a recipe, and the network to start with.

    Without `network`, the training starts with a random one, by `seed`, `hidden_sizes` and
    `activation` of the recipe.
    """

    recipe: FitRecipe = FitRecipe()
    network: NetworkBody | None = None


@blueprint.post("/fit")
@requires("predict")
@operation(raises=BOUNDED)
def fit(body: FitBody) -> FitResult:
    """Train a scratch network on rows and return it, with the error of each pass.

    The server stores nothing. The result has the same bits as that of any training.
    """
    dataset = _dataset(body)
    network = _start(body.network, body.recipe.random_start("recipe."), dataset)
    recipe = Recipe(
        **body.recipe.model_dump(exclude={"seed", "hidden_sizes", "activation"}), target_error=None
    )
    admit(**scratch_training.training_cost(network, len(dataset), recipe)._asdict())
    return scratch_training.fit(network, dataset, recipe, check_connected)


def _dataset(body: RowsFields) -> Dataset:
    dataset = body.to_dataset()
    if dataset is None:
        raise FieldError(Problem("rows", "expected rows or a dataset, got neither"))
    return dataset


def _start(given: NetworkBody | None, start: RandomStart, dataset: Dataset) -> Network:
    if given is None:
        return random_network(start, dataset.light_count, dataset.scale)
    network = given.to_network(start)
    if network.light_count != dataset.light_count:
        count, got = dataset.light_count, network.light_count
        message = f"expected {count} rows, one for each light, got {got}"
        raise FieldError(Problem("network.weights.weights_0_1", message, got))
    return network


class PressureBody(RowsFields, StartFields):
    """Rows and a network, and the rows to list: at most `limit` after row `after`, from 1 on.

    The network is `network`, or the random one with which a training starts.
    """

    network: NetworkBody | None = None
    after: Annotated[After, WHOLE] = 0
    limit: Annotated[int, Field(ge=0, le=1000), WHOLE] = 100


@blueprint.post("/pressure")
@requires("predict")
@operation(raises=BOUNDED)
def pressure(body: PressureBody) -> Pressure:
    """Return the weight pressure of rows on a network, and the sums over all rows."""
    dataset, page = _dataset(body), (body.after, body.limit)
    network = _start(body.network, body.random_start(), dataset)
    admit(**pressure_cost(network, len(dataset), *page)._asdict())
    return pressure_table(network, dataset, *page)


class StepBody(TrainingFields):
    """One example, and the network that learns from it.

    The network is `network`; or, with `seed`, a random one with `hidden_sizes` and `activation`;
    or, without both, a copy of the live version.
    """

    lights: Annotated[Lights, Field(examples=[[1, 0, 1]])]
    outcome: Annotated[Outcome, Field(examples=["walk"])]
    network: NetworkBody | None = None


@blueprint.post("/step")
@requires("predict")
@operation(raises=[NoLiveVersionError])
def step(body: StepBody) -> StepResult:
    """Train a scratch network on one example and return every weight change.

    The server stores nothing: send the returned `network` with the next example.
    """
    network = _network(body)
    admit(response_bytes=scratch_training.response_bytes(network))
    return scratch_training.take_step(
        network,
        body.lights,
        body.outcome,
        alpha=body.alpha,
        weight_decay=body.weight_decay,
        l1_penalty=body.l1_penalty,
    )


def _network(body: StepBody) -> Network:
    if body.network:
        return body.network.to_network(body.random_start())
    live = live_version(services().repository).network
    if body.seed is not None:
        return random_network(body.random_start(), live.light_count, live.scale)
    for name in ("hidden_sizes", "activation"):
        if getattr(body, name) is not None:
            message = (
                "expected a seed too, for a random network; without one, the live version learns"
            )
            raise FieldError(Problem(name, message))
    return live
