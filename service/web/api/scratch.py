"""Scratch networks, which the client holds: train one on an example."""

from typing import Annotated

from flask import Blueprint
from pydantic import FailFast, Field
from pydantic.fields import FieldInfo

from streetlight.model.dataset import Outcome
from streetlight.model.network import Activation, Network
from streetlight.model.recipe import BOUNDS, Recipe
from streetlight.service.inference import scratch_training
from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.inference.scratch_network import (
    RandomStart,
    ScratchNetwork,
    check_start,
    parse_network,
    random_network,
)
from streetlight.service.inference.scratch_training import StepResult
from streetlight.service.validation.fields import WHOLE
from streetlight.service.validation.problems import FieldError, Problem
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.application import services
from streetlight.service.web.middleware.admission import admit
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("scratch", __name__)

Matrix = Annotated[list[Annotated[list[float], Field(min_length=1)]], Field(min_length=1)]


class NetworkBody(Schema):
    """A network, in the form of the previous step's response: the weight matrices by name."""

    weights: Annotated[dict[str, Matrix], Field(min_length=1, max_length=9), FailFast()]
    activation: Activation = "relu"
    scale: Annotated[float, Field(gt=0)] = 1.0


def _bounded(name: str) -> FieldInfo:
    lowest, highest = BOUNDS[name]
    return FieldInfo(ge=lowest, le=highest)


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


class StepBody(StartFields):
    """One example, and the network that learns from it.

    The network is `network`; or, with `seed`, a random one with `hidden_sizes` and `activation`;
    or, without both, a copy of the live version.
    """

    lights: Annotated[list[float], Field(min_length=1, examples=[[1, 0, 1]]), FailFast()]
    outcome: Annotated[Outcome, Field(examples=["walk"])]
    alpha: Annotated[float, _bounded("alpha")] = Recipe.alpha
    weight_decay: Annotated[float, _bounded("weight_decay")] = Recipe.weight_decay
    l1_penalty: Annotated[float, _bounded("l1_penalty")] = Recipe.l1_penalty
    network: NetworkBody | None = None


@blueprint.post("/step")
@read_only
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
    start = body.random_start()
    if body.network:
        network = parse_network(ScratchNetwork(**vars(body.network)))
        check_start(network, start)
        return network
    live = live_version(services().repository).network
    if body.seed is not None:
        return random_network(start, live.light_count, live.scale)
    for name in ("hidden_sizes", "activation"):
        if getattr(body, name) is not None:
            message = (
                "expected a seed too, for a random network; without one, the live version learns"
            )
            raise FieldError(Problem(name, message))
    return live
