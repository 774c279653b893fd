"""The fast path: predictions for few light states, computed on the event loop.

It answers a request with the same endpoint as the view of its route, and with the same bytes. For
every request that it doesn't answer, errors above all, it returns `None`, and the application
answers in a thread.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple

from streetlight.service.inference.codecs import native, v1, v2
from streetlight.service.inference.codecs.v2_request import HEADER_LENGTH
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.limits import TooExpensiveError
from streetlight.service.inference.tensors import Buffer
from streetlight.service.observability import metrics
from streetlight.service.server.request_parser import ReceivedRequest
from streetlight.service.web.middleware.auth import bearer_key
from streetlight.service.web.middleware.request_id import choose_request_id
from streetlight.service.web.middleware.security_headers import HEADER_LINES
from streetlight.service.wiring import Services

# A fast response delays all other connections of the worker, so its cost is bounded.
# Bytes of a JSON body.
MAX_JSON_BODY = 16 * 1024
# Bytes of a body with tensors in binary, which need no parsing.
MAX_BINARY_BODY = 64 * 1024
# Multiplications of weights: rows times weights.
MAX_MULTIPLICATIONS = 50_000
# Bytes of the response.
MAX_RESPONSE = 256 * 1024

BINARY_HEADER = HEADER_LENGTH.lower().encode()


class FastRequest(NamedTuple):
    """An `InferenceRequest` for the live version.

    Attributes:
        headers: the header values by name in lower case.
        body: the request body.
        query: the query string.
        request_id: the id of the request, which the response and the log repeat.
    """

    headers: dict[bytes, bytes]
    body: Buffer
    query: bytes
    request_id: str
    model: None = None
    version: None = None
    label: None = None

    def admit(self, multiplications: int, response_bytes: int) -> None:
        """Raise `TooExpensiveError` unless the response is cheap."""
        if multiplications > MAX_MULTIPLICATIONS or response_bytes > MAX_RESPONSE:
            raise TooExpensiveError

    def check_connected(self) -> None:
        """Do nothing: nothing is received meanwhile."""

    def header(self, name: str) -> str | None:
        """Return the value of a header, or `None` if it wasn't sent."""
        value = self.headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")

    def best_match(self, _media_types: Sequence[str]) -> str | None:
        """Leave the request to the application, which negotiates the media type."""
        raise NotImplementedError


class FastResponse(NamedTuple):
    """A response with status 200.

    Attributes:
        headers: the header lines after those of the server, and the empty line that ends them.
        body: the response body.
        log_fields: the fields `request_id`, `route`, `version` and `key` of the access log line.
    """

    headers: bytes
    body: bytes
    log_fields: dict[str, Any]


class FastPath:
    """The routes that have a fast path, and their endpoints."""

    def __init__(self, services: Services) -> None:
        model = services.model.name
        self._model = services.model
        self._cors = bool(services.settings.cors_origins)
        self._keys = services.keys if services.keys.guards_all else None
        # The route, as metrics and logs name it, and the endpoint of each method and path.
        endpoints: dict[tuple[str, str], tuple[str, InferenceEndpoint[Any]]] = {
            ("POST", "/predict"): ("/predict", native.PREDICT),
            ("GET", "/predict"): ("/predict", native.PREDICT_QUERY),
            ("POST", "/predict/batch"): ("/predict/batch", native.PREDICT_BATCH),
            ("POST", f"/v1/models/{model}:predict"): ("/v1/models/<model>:predict", v1.PREDICT),
            ("POST", f"/v2/models/{model}/infer"): ("/v2/models/<model>/infer", v2.INFER),
        }
        self._endpoints = {(m, path.encode()): found for (m, path), found in endpoints.items()}

    def __call__(self, request: ReceivedRequest) -> FastResponse | None:
        """Return the response to `request`, or `None` if the application must answer it."""
        began = perf_counter()
        path, _, query = request.target.partition(b"?")
        headers = request.headers
        if (found := self._endpoints.get((request.method, path))) is None:
            return None
        route, endpoint = found
        if self._needs_application(request, query, endpoint):
            return None
        keys = self._keys
        key = keys and keys.find(bearer_key(headers.get(b"authorization", b"")))
        if keys and not (key and key.has("predict")):
            return None
        request_id = choose_request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        fast_request = FastRequest(headers, request.body, query, request_id)
        response = endpoint.try_respond(fast_request, self._model)
        if response is None:
            return None
        body = response.body[0] if len(response.body) == 1 else b"".join(response.body)
        more = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
        if endpoint.compressible:
            more += "Vary: Accept-Encoding\r\n"
        lines = (
            f"Content-Type: {response.media_type}\r\nContent-Length: {len(body)}\r\n"
            f"{more}{HEADER_LINES}X-Request-ID: {request_id}\r\n\r\n"
        )
        metrics.count_request(route, request.method, 200, perf_counter() - began)
        log_fields = {
            "request_id": request_id,
            "route": route,
            "version": response.version,
            "key": key and key.name,
        }
        return FastResponse(lines.encode(), body, log_fields)

    def _needs_application(
        self, request: ReceivedRequest, query: bytes, endpoint: InferenceEndpoint[Any]
    ) -> bool:
        """Return whether the head of a request, or the size of its body, excludes the fast path."""
        headers = request.headers
        is_binary = endpoint is v2.INFER and BINARY_HEADER in headers
        max_body = MAX_BINARY_BODY if is_binary else MAX_JSON_BODY
        if len(request.body) > max_body or b"content-encoding" in headers or b"#" in query:
            return True
        if self._cors and b"origin" in headers:
            return True  # the application adds headers to the response
        if query and endpoint is not native.PREDICT_QUERY:
            return True  # the application refuses parameters that the route doesn't have
        return endpoint.compressible and b"accept-encoding" in headers
