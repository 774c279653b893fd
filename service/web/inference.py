"""Answer the current Flask request with an inference endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response, g, request

from streetlight.service.inference.endpoint import DecodedT, InferenceEndpoint
from streetlight.service.inference.tensors import Buffer
from streetlight.service.web.application import services
from streetlight.service.web.compression import compress
from streetlight.service.web.middleware.admission import admit, check_connected
from streetlight.service.web.request import read_body_buffer


@dataclass(frozen=True)
class FlaskRequest:
    """The current request; `model`, `version` and `label` are from its path."""

    model: str | None
    version: str | None
    label: str | None

    @property
    def body(self) -> Buffer:
        """The body, decompressed. Raises the errors of `read_body_buffer`."""
        return read_body_buffer()

    @property
    def query(self) -> bytes:
        """The query string, as it was sent."""
        return request.query_string

    @property
    def request_id(self) -> str:
        """The id of the request, which the response and the log repeat."""
        return str(g.request_id)

    def admit(self, multiplications: int, response_bytes: int) -> None:
        """Admit the cost of the response. Raises the errors of `admission.admit`."""
        admit(multiplications=multiplications, response_bytes=response_bytes)

    def check_connected(self) -> None:
        """Raise `ClientDisconnectedError` if the client has left."""
        check_connected()

    def header(self, name: str) -> str | None:
        """Return the value of a header, or `None` if it wasn't sent."""
        return request.headers.get(name)

    def best_match(self, media_types: Sequence[str]) -> str | None:
        """Return the one of `media_types` that the client prefers; `None` if it accepts none."""
        return request.accept_mimetypes.best_match(media_types)


def respond(
    endpoint: InferenceEndpoint[DecodedT],
    model: str | None = None,
    version: str | None = None,
    label: str | None = None,
) -> Response:
    """Return the endpoint's response to the current request.

    `model`, `version` and `label` are the parts of the path. Raises the errors of the endpoint.
    """
    inferred = endpoint(FlaskRequest(model, version, label), services().model)
    g.version = inferred.version
    response = Response(inferred.body, mimetype=inferred.media_type)
    response.headers["Content-Length"] = str(sum(map(len, inferred.body)))
    for name, value in inferred.headers:
        response.headers[name] = value
    return compress(response) if endpoint.compressible else response
