"""The JSON of V1: what the views return, and the bodies that `inference.codecs.v1` translates."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from streetlight.model.dataset import Outcome
from streetlight.model.network import WeightLists
from streetlight.service.inference.result import RowExplanation
from streetlight.service.validation.fields import OMIT_IF_EMPTY

Lights = Annotated[list[float], Field(min_length=1)]
Rows = Annotated[list[Lights], Field(min_length=1)]
EXAMPLE = Field(examples=[[[1, 0, 1], [0, 0, 1]]])
# As the protocol requires, a row is a list even if it has one number.
Score = Annotated[list[float], Field(min_length=1, max_length=1)]


class V1PredictBody(BaseModel):
    """Light states, either by row as `instances`, or as the tensor `inputs`.

    A row may also be `{"lights": […]}`, and the tensor `{"lights": [[…], …]}`.
    """

    instances: Annotated[Rows | None, EXAMPLE] = None
    inputs: Rows | None = None


class V1ExplainBody(BaseModel):
    """Light states by row; a row may also be `{"lights": […]}`."""

    instances: Annotated[Rows, EXAMPLE]


class V1ExamplesBody(BaseModel):
    """Light states by row; a row may also be `{"lights": […]}`."""

    examples: Annotated[Rows, EXAMPLE]


@dataclass(frozen=True)
class V1Predictions:
    """The score of each light state: `predictions` for `instances`, `outputs` for `inputs`."""

    predictions: Annotated[list[Score] | None, OMIT_IF_EMPTY] = None
    outputs: Annotated[list[Score] | None, OMIT_IF_EMPTY] = None


@dataclass(frozen=True)
class V1Explanations:
    """The score of each light state, how it is computed, and the weights of the version."""

    predictions: list[Score]
    explanations: list[RowExplanation]
    weights: WeightLists


@dataclass(frozen=True)
class V1Classes:
    """For each light state, both outcomes with their values, the decision first."""

    results: list[list[tuple[Outcome, float]]]


@dataclass(frozen=True)
class V1Regression:
    """The score of each light state."""

    results: list[float]


@dataclass(frozen=True)
class ModelNames:
    """The names of the models, of which there is one."""

    models: list[str]


@dataclass(frozen=True)
class V1VersionError:
    """Why a version can't be used; `OK` and an empty message if it can."""

    error_code: str
    error_message: str


@dataclass(frozen=True)
class V1VersionStatus:
    """The state of a version: `AVAILABLE`, or `END` if its file is damaged."""

    version: str
    state: str
    status: V1VersionError


@dataclass(frozen=True)
class V1ModelStatus:
    """The state of each version, the live one first; `name` and `ready` are KServe's."""

    name: str
    ready: bool
    model_version_status: list[V1VersionStatus]


@dataclass(frozen=True)
class V1Dimension:
    """The size of a dimension as text, -1 for any."""

    size: str
    name: str


@dataclass(frozen=True)
class V1TensorShape:
    """The dimensions of a tensor."""

    dim: list[V1Dimension]
    unknown_rank: bool


@dataclass(frozen=True)
class V1TensorInfo:
    """The type and the shape of a tensor."""

    dtype: str
    tensor_shape: V1TensorShape


@dataclass(frozen=True)
class V1Signature:
    """The tensors that the model takes and returns, by name."""

    inputs: dict[str, V1TensorInfo]
    outputs: dict[str, V1TensorInfo]
    method_name: str


@dataclass(frozen=True)
class V1Signatures:
    """The signatures by name, of which there is one."""

    signature_def: dict[str, V1Signature]


@dataclass(frozen=True)
class V1ModelSpec:
    """The model and the version that the metadata describe."""

    name: str
    signature_name: str
    version: str


@dataclass(frozen=True)
class V1Metadata:
    """The model's signature, under the name `signature_def`."""

    model_spec: V1ModelSpec
    metadata: dict[str, V1Signatures]
