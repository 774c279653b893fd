"""The JSON of V2: what the views return, and the response that `inference.codecs` encodes.

The bodies of requests are in `inference.codecs.v2_request` and `v2_repository`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from streetlight.service.validation.fields import OMIT_IF_EMPTY


@dataclass(frozen=True)
class V2Server:
    """The server, and the extensions of the protocol that it supports."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class V2Live:
    """The process serves requests."""

    live: bool = True


@dataclass(frozen=True)
class V2Ready(V2Live):
    """A version is live and can be loaded."""

    ready: bool = True


@dataclass(frozen=True)
class V2ModelReady:
    """The version can answer."""

    name: str
    ready: bool = True


@dataclass(frozen=True)
class V2TensorMetadata:
    """A tensor; the size -1 in its shape stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True)
class V2ModelMetadata:
    """The model's versions and tensors; `properties` are those of one version."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[V2TensorMetadata]
    outputs: list[V2TensorMetadata]
    properties: dict[str, str]


@dataclass(frozen=True)
class V2ConfigTensor:
    """A tensor in Triton's configuration."""

    name: str
    data_type: str
    dims: list[int]


@dataclass(frozen=True)
class V2Config:
    """The model in Triton's configuration; the largest batch 0 means that there is no batching."""

    name: str
    platform: str
    backend: str
    version_policy: dict[str, dict[str, Any]]
    max_batch_size: int
    input: list[V2ConfigTensor]
    output: list[V2ConfigTensor]


@dataclass(frozen=True)
class V2Output:
    """An output tensor; `data`, or `parameters` with the size of its bytes behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: Annotated[list[float | str] | None, OMIT_IF_EMPTY] = None
    parameters: Annotated[dict[str, int] | None, OMIT_IF_EMPTY] = None


@dataclass(frozen=True)
class V2InferResponse:
    """The outputs of the version that answered; `id` is the request's."""

    model_name: str
    model_version: str
    outputs: list[V2Output]
    id: Annotated[str | None, OMIT_IF_EMPTY] = None


@dataclass(frozen=True)
class V2IndexEntry:
    """A version, and why it isn't ready."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


@dataclass(frozen=True)
class V2Loaded:
    """The model, and whether it is in service; `lagging` names hosts that may not follow yet."""

    name: str
    load: bool
    lagging: Annotated[list[str], OMIT_IF_EMPTY] = field(default_factory=list)


@dataclass(frozen=True)
class V2Duration:
    """A number of requests, and their duration together."""

    count: int
    ns: int


@dataclass(frozen=True)
class V2InferStatistics:
    """The durations of the parts of inference; it has no queue and no cache."""

    success: V2Duration
    fail: V2Duration
    queue: V2Duration
    compute_input: V2Duration
    compute_infer: V2Duration
    compute_output: V2Duration
    cache_hit: V2Duration = V2Duration(0, 0)
    cache_miss: V2Duration = V2Duration(0, 0)


@dataclass(frozen=True)
class V2ModelStatistics:
    """The predictions of a version since the server's start."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: V2InferStatistics
    response_stats: dict[str, Any] = field(default_factory=dict)
    batch_stats: list[Any] = field(default_factory=list)
    memory_usage: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class V2Statistics:
    """The statistics of each version."""

    model_stats: list[V2ModelStatistics]
