"""The requests and responses of inference, independent of the server that carries them.

`web` has the adapters: `web.inference` for Flask, `server.fast_path` for the event loop.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from streetlight.service.inference.tensors import Buffer

JSON = "application/json"


class UnsupportedMediaTypeError(ValueError):
    """The request's body has a media type that the route doesn't accept."""


class InferenceRequest(Protocol):
    """A request for predictions; reading an attribute may raise the errors of the transport."""

    @property
    def body(self) -> Buffer:
        """The body, decompressed."""

    @property
    def query(self) -> bytes:
        """The query string, as it was sent."""

    @property
    def request_id(self) -> str:
        """The id of the request, which the response and the log repeat."""

    @property
    def model(self) -> str | None:
        """The name of the model in the path."""

    @property
    def version(self) -> str | None:
        """The number of the version in the path."""

    @property
    def label(self) -> str | None:
        """The label of the version in the path."""

    def admit(self, multiplications: int, response_bytes: int) -> None:
        """Admit the cost of the response, or raise an error of `limits`."""

    def check_connected(self) -> None:
        """Raise `ClientDisconnectedError` if the client has left."""

    def header(self, name: str) -> str | None:
        """Return the value of a header, or `None` if it wasn't sent."""

    def best_match(self, media_types: Sequence[str]) -> str | None:
        """Return the one of `media_types` that the client prefers; `None` if it accepts none."""


class Response(NamedTuple):
    """A successful response.

    Attributes:
        body: the parts of the body, in order.
        media_type: the media type of the body.
        version: the number of the version that predicted.
        headers: further headers, as names and values.
    """

    body: Sequence[bytes]
    media_type: str
    version: int
    headers: Sequence[tuple[str, str]] = ()


def json_body(request: InferenceRequest) -> bytes:
    """Return the body of `request`, unparsed; `{}` for an empty body."""
    return bytes(request.body) or b"{}"


def json_response(payload: Any, version: int) -> Response:  # noqa: ANN401 - any type that Pydantic serialises
    """Return a response with `payload`, a dataclass or plain data, as a line of JSON."""
    return Response([to_json(payload, inf_nan_mode="null") + b"\n"], JSON, version)
