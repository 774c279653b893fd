"""Parse an inference request of the Open Inference Protocol (V2).

The input `lights` has a row for each light state. `tensors` decodes tensors, `v2_response` encodes
the response, and `streetlight.service.web.protocols.v2` has the routes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from streetlight.service.inference import tensors
from streetlight.service.inference.tensors import DTYPES, Buffer, TensorError
from streetlight.service.validation.json_bounds import decode
from streetlight.service.validation.problems import FieldError, Problem, problems

INPUT = "lights"
OUTPUTS = ("score", "decision")
HEADER_LENGTH = "Inference-Header-Content-Length"


class NotSupportedError(NotImplementedError):
    """The request uses an extension of the protocol that this server doesn't support."""


class ProtocolModel(BaseModel):
    """A JSON object in a request; unknown fields are ignored, as the protocol requires."""

    # Frozen, so that Pydantic doesn't copy the default of a field for each request.
    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


Size = Annotated[int, Field(ge=0, lt=2**63)]


class InputParameters(ProtocolModel):
    """The location of an input's data if they aren't in its field `data`."""

    binary_data_size: Size | None = None
    shared_memory_region: Any = None


class Input(ProtocolModel):
    """An input tensor."""

    name: str
    shape: list[Size]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: Any = None


class OutputParameters(ProtocolModel):
    """The requested format of an output."""

    binary_data: StrictBool | None = None
    classification: Annotated[int, Field(ge=0, lt=2**63)] = 0
    shared_memory_region: Any = None


class RequestedOutput(ProtocolModel):
    """A requested output."""

    name: str
    parameters: OutputParameters = OutputParameters()


DEFAULT_OUTPUTS = tuple(RequestedOutput(name=name) for name in OUTPUTS)


class RequestParameters(ProtocolModel):
    """The parameters of the request as a whole."""

    model_config = ConfigDict(extra="allow")

    binary_data_output: StrictBool = False


# For the OpenAPI document.
EXAMPLE = {"name": INPUT, "shape": [1, 3], "datatype": "FP64", "data": [1, 0, 1]}


class InferBody(ProtocolModel):
    """The JSON part of a request."""

    id: str | None = None
    inputs: Annotated[list[Input], Field(examples=[[EXAMPLE]])]
    outputs: list[RequestedOutput] = Field(default_factory=list)
    parameters: RequestParameters = RequestParameters()


@dataclass(frozen=True)
class InferRequest:
    """A parsed request.

    Attributes:
        lights: the light states, shape (rows, lights), all finite.
        outputs: the outputs to return, in this order.
        id: the client's id, which the response repeats.
        binary: whether outputs that don't ask for a format are returned in binary.
        field: the name of the light states in error messages.
    """

    lights: npt.NDArray[Any]
    outputs: Sequence[RequestedOutput]
    id: str | None = None
    binary: bool = False
    field: str = INPUT


def parse(body: Buffer, header_length: str | None, light_count: int) -> InferRequest:
    """Parse a request.

    Args:
        body: the JSON, followed by the binary tensors in the order of the inputs.
        header_length: the header `Inference-Header-Content-Length`, the length of the JSON in
            bytes; `None` if the body is all JSON. With the length 0, the body is one binary FP64
            tensor.
        light_count: the number of lights in a row.

    Raises:
        FieldError: the request is invalid.
        NotSupportedError: the request uses shared memory.
    """
    length = _header_length(header_length, len(body))
    if length == 0 and header_length is not None:
        return _parse_raw(body, light_count)
    try:
        request = InferBody.model_validate(decode(bytes(body[:length])))
    except ValidationError as error:
        raise FieldError(Problem("", "; ".join(map(str, problems(error))))) from None
    for name in request.parameters.model_extra or {}:
        if name.startswith("triton_"):
            raise FieldError(
                Problem(f"parameters.{name}", "names that start with triton_ are reserved")
            )
    binary = memoryview(body)[length:]
    lights = _lights(request.inputs, binary, header_length is not None, light_count)
    _check_outputs(request.outputs)
    outputs = request.outputs or DEFAULT_OUTPUTS
    return InferRequest(lights, outputs, request.id, request.parameters.binary_data_output)


def _header_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    # int() alone would also accept signs, spaces and underscores.
    if not (header.isascii() and header.isdigit() and len(header) < 20 and int(header) <= size):
        message = f"expected the length of the JSON, 0 to {size}, got {header[:40]!r}"
        raise FieldError(Problem(HEADER_LENGTH, message))
    return int(header)


def _parse_raw(body: Buffer, light_count: int) -> InferRequest:
    """Return the request for a body without JSON, whose shape follows from its length."""
    row_size = light_count * 8
    if not body or len(body) % row_size:
        message = (
            f"expected rows of {light_count} FP64, {row_size} bytes each, got {len(body)} bytes"
        )
        raise FieldError(Problem(INPUT, message))
    shape = (len(body) // row_size, light_count)
    lights = _check_finite(tensors.array_from_bytes(body, "FP64", shape))
    return InferRequest(lights, DEFAULT_OUTPUTS, binary=True)


def _lights(
    inputs: list[Input], binary: memoryview, has_header: bool, light_count: int
) -> npt.NDArray[Any]:
    names = [tensor.name for tensor in inputs]
    if names != [INPUT]:
        raise FieldError(Problem("inputs", f"expected one, named {INPUT!r}, got {str(names)[:80]}"))
    [tensor] = inputs
    size = tensor.parameters.binary_data_size
    if tensor.parameters.shared_memory_region is not None:
        raise NotSupportedError("shared memory is not supported; send the data in the request")
    if tensor.datatype not in DTYPES:
        message = f"expected one of {', '.join(DTYPES)}, got {tensor.datatype[:40]!r}"
        raise FieldError(Problem(f"{INPUT}.datatype", message))
    if len(tensor.shape) != 2 or tensor.shape[1] != light_count:
        message = f"expected [-1, {light_count}], got {str(tensor.shape)[:80]}"
        raise FieldError(Problem(f"{INPUT}.shape", message))
    if (size is None) == ("data" not in tensor.model_fields_set):
        message = "expected either data or parameters.binary_data_size, got both or neither"
        raise FieldError(Problem(INPUT, message))
    if size is not None and not has_header:
        message = "required with a binary tensor, but missing"
        raise FieldError(Problem(HEADER_LENGTH, message))
    if len(binary) != (size or 0):
        message = f"expected {size or 0} bytes after the JSON, got {len(binary)}"
        raise FieldError(Problem(INPUT, message))
    try:
        if size is None:
            return _check_finite(
                tensors.array_from_json(tensor.data, tensor.datatype, tensor.shape)
            )
        return _check_finite(tensors.array_from_bytes(binary, tensor.datatype, tensor.shape))
    except TensorError as error:
        raise FieldError(Problem(INPUT, str(error))) from None


def _check_finite(lights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    finite = np.isfinite(lights)
    if not finite.all():
        i = int(finite.argmin())
        message = f"expected finite numbers, got {lights.flat[i]} at element {i}"
        raise FieldError(Problem(INPUT, message))
    return lights


def _check_outputs(outputs: list[RequestedOutput]) -> None:
    names = [output.name for output in outputs]
    for output in outputs:
        if output.name not in OUTPUTS:
            message = f"expected {' or '.join(OUTPUTS)}, got {output.name[:40]!r}"
            raise FieldError(Problem("outputs", message))
        if output.parameters.shared_memory_region is not None:
            raise NotSupportedError(
                "shared memory is not supported; outputs are returned in the response"
            )
        if output.parameters.classification and output.name != "score":
            raise FieldError(Problem("outputs", "classification is only for the output 'score'"))
    if len(set(names)) != len(names):
        raise FieldError(
            Problem("outputs", f"expected each name at most once, got {str(names)[:80]}")
        )
