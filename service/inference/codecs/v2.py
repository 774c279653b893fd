"""The format of the Open Inference Protocol (V2): JSON, with or without binary tensors.

`v2_request` parses requests, `v2_response` encodes responses.
"""

from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import v2_request, v2_response
from streetlight.service.inference.codecs.v2_request import HEADER_LENGTH, InferRequest
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.messages import JSON, InferenceRequest, Response
from streetlight.service.inference.result import Result


def _decode(request: InferenceRequest, version: Version) -> InferRequest:
    header_length = request.header(HEADER_LENGTH)
    return v2_request.parse(request.body, header_length, version.network.light_count)


def _encode(decoded: InferRequest, result: Result) -> Response:
    number = result.version.number
    rendered = v2_response.render(decoded, result.score_array, result.model, number)
    if rendered.binary is None:
        return Response([rendered.header], JSON, number)
    headers = [(HEADER_LENGTH, str(len(rendered.header)))]
    return Response(
        [rendered.header, *rendered.binary], "application/octet-stream", number, headers
    )


def _response_bytes(decoded: InferRequest, _version: Version) -> int:
    return len(decoded.lights) * v2_response.bytes_per_row(decoded)


INFER = InferenceEndpoint("v2", _decode, _encode, _response_bytes, compressible=True)
