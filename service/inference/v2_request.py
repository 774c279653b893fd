"""A request for inference by the Open Inference Protocol: understood, or refused with the reason.

The input `lights` has a row for each light state. How tensors are packed is in `tensors`, what is
answered in `infer_answer`, the routes in `streetlight.service.web.protocols.v2`.
"""

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


class NotSupportedError(NotImplementedError):
    """The request wants a part of the protocol that isn't offered here."""


class Part(BaseModel):
    """A part of a request; what the protocol doesn't know is ignored, as it asks."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


Size = Annotated[int, Field(ge=0, lt=2**63)]


class InputParameters(Part):
    """Where an input's numbers are."""

    binary_data_size: Size | None = None
    shared_memory_region: Any = None


class Input(Part):
    """One input tensor, as the request announces it."""

    name: str
    shape: list[Size]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: Any = None


class OutputParameters(Part):
    """In which form an output is wanted."""

    binary_data: StrictBool | None = None
    classification: Annotated[int, Field(ge=0, lt=2**63)] = 0
    shared_memory_region: Any = None


class RequestedOutput(Part):
    """One output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Part):
    """What holds for the whole request."""

    model_config = ConfigDict(extra="allow")

    binary_data_output: StrictBool = False


class InferBody(Part):
    """The JSON part of a request."""

    id: str | None = None
    inputs: list[Input]
    outputs: list[RequestedOutput] = []
    parameters: RequestParameters = RequestParameters()


@dataclass(frozen=True)
class InferRequest:
    """A request that has been understood: light states, and the outputs that are wanted of them."""

    lights: npt.NDArray[Any]
    outputs: list[RequestedOutput]
    id: str | None = None
    binary: bool = False


def parse(body: Buffer, header_length: str | None, light_count: int) -> InferRequest:
    """Understand a request.

    Args:
        body: JSON, and after it the binary tensors in the order of the inputs.
        header_length: how long the JSON is, as the header says; `None` where all of it is.
        light_count: how many lights a row has.

    Raises:
        FieldError: it can't be understood.
        NotOfferedError: it wants shared memory.
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
            raise FieldError(Problem(f"parameters.{name}", "names in triton_ are reserved"))
    binary = memoryview(body)[length:]
    lights = _lights(request.inputs, binary, header_length is not None, light_count)
    wanted = request.outputs or [RequestedOutput(name=name) for name in OUTPUTS]
    _check_outputs(wanted)
    return InferRequest(lights, wanted, request.id, request.parameters.binary_data_output)


def _header_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    # Not int(): it takes signs, spaces and underscores as well.
    if not (header.isascii() and header.isdigit() and len(header) < 20 and int(header) <= size):
        message = f"expected the length of the JSON, 0 to {size}, got {header[:40]!r}"
        raise FieldError(Problem("Inference-Header-Content-Length", message))
    return int(header)


def _parse_raw(body: Buffer, light_count: int) -> InferRequest:
    row = light_count * 8
    if not body or len(body) % row:
        message = f"expected rows of {light_count} FP64, {row} bytes each, got {len(body)} bytes"
        raise FieldError(Problem(INPUT, message))
    shape = (len(body) // row, light_count)
    lights = _finite(tensors.from_bytes(body, "FP64", shape))
    return InferRequest(lights, [RequestedOutput(name=name) for name in OUTPUTS], binary=True)


def _lights(
    inputs: list[Input], binary: memoryview, has_header: bool, light_count: int
) -> npt.NDArray[Any]:
    names = [tensor.name for tensor in inputs]
    if names != [INPUT]:
        raise FieldError(Problem("inputs", f"expected one, named {INPUT!r}, got {str(names)[:80]}"))
    [tensor] = inputs
    size = tensor.parameters.binary_data_size
    if tensor.parameters.shared_memory_region is not None:
        raise NotSupportedError("shared memory is not offered; send data in the request")
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
        message = "expected where a tensor is binary, but missing"
        raise FieldError(Problem("Inference-Header-Content-Length", message))
    if len(binary) != (size or 0):
        message = f"the inputs announce {size or 0} bytes after the JSON, got {len(binary)}"
        raise FieldError(Problem(INPUT, message))
    try:
        if size is None:
            return _finite(tensors.from_json(tensor.data, tensor.datatype, tensor.shape))
        return _finite(tensors.from_bytes(binary, tensor.datatype, tensor.shape))
    except TensorError as error:
        raise FieldError(Problem(INPUT, str(error))) from None


def _finite(lights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    finite = np.isfinite(lights)
    if not finite.all():
        at = int(finite.argmin())
        message = f"expected finite numbers, got {lights.flat[at]} at element {at}"
        raise FieldError(Problem(INPUT, message))
    return lights


def _check_outputs(wanted: list[RequestedOutput]) -> None:
    names = [output.name for output in wanted]
    for output in wanted:
        if output.name not in OUTPUTS:
            message = f"expected {' or '.join(OUTPUTS)}, got {output.name[:40]!r}"
            raise FieldError(Problem("outputs", message))
        if output.parameters.shared_memory_region is not None:
            raise NotSupportedError("shared memory is not offered; outputs come in the answer")
        if output.parameters.classification and output.name != "score":
            raise FieldError(Problem("outputs", "classification is for the output 'score'"))
    if len(set(names)) != len(names):
        raise FieldError(Problem("outputs", f"expected each once, got {str(names)[:80]}"))
