"""Step: let a scratch network learn from one example, and see every weight move."""

from typing import Annotated

from flask import Blueprint
from pydantic import FailFast, Field
from pydantic.fields import FieldInfo

from model.dataset import Outcome
from model.network import Activation, Network
from model.recipe import BOUNDS, Recipe
from service import stepping
from service.predictions import NoLiveVersionError, live_version
from service.stepping import ScratchNetwork, StepTaken
from service.validation import FieldError, Problem
from service.web.access import changes_nothing
from service.web.exchange import WHOLE, Schema, services
from service.web.operation import operation

blueprint = Blueprint("step", __name__)

Matrix = Annotated[list[Annotated[list[float], Field(min_length=1)]], Field(min_length=1)]


class NetworkBody(Schema):
    """A network, as the answer to the step before has it."""

    weights: Annotated[dict[str, Matrix], Field(min_length=1, max_length=9), FailFast()]
    activation: Activation = "relu"
    scale: Annotated[float, Field(gt=0)] = 1.0


def _bounded(name: str) -> FieldInfo:
    lowest, highest = BOUNDS[name]
    return FieldInfo(ge=lowest, le=highest)


class StepBody(Schema):
    """One example, and the network that is to learn from it.

    That is `network`; or a new one of `seed` and `hidden_sizes`; or a copy of the live version.
    """

    lights: Annotated[list[float], Field(min_length=1, examples=[[1, 0, 1]]), FailFast()]
    outcome: Annotated[Outcome, Field(examples=["walk"])]
    alpha: Annotated[float, _bounded("alpha")] = Recipe.alpha
    weight_decay: Annotated[float, _bounded("weight_decay")] = Recipe.weight_decay
    network: NetworkBody | None = None
    seed: Annotated[int, _bounded("seed"), WHOLE] | None = None
    hidden_sizes: Annotated[
        tuple[Annotated[int, _bounded("hidden_sizes"), WHOLE], ...], Field(max_length=8)
    ] = Recipe.hidden_sizes


@blueprint.post("/step")
@changes_nothing
@operation(raises=[NoLiveVersionError])
def step(body: StepBody) -> StepTaken:
    """Let a network of the caller's learn from one example; nothing is kept here.

    The answer's `network` goes into the next step.
    """
    return stepping.take_step(
        _network(body),
        body.lights,
        body.outcome,
        alpha=body.alpha,
        weight_decay=body.weight_decay,
    )


def _network(body: StepBody) -> Network:
    if body.network:
        if body.seed is not None:
            raise FieldError(Problem("seed", "expected a network or a seed, got both", body.seed))
        return stepping.given_network(ScratchNetwork(**vars(body.network)))
    version = live_version(services().repository)
    if body.seed is None:
        return version.network
    return stepping.fresh_network(version, body.hidden_sizes, body.seed)
