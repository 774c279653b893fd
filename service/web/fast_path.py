"""The fast path: predictions for few light states, answered from the bytes of their requests.

It answers an unambiguous request for a prediction, if the prediction succeeds, with the same
endpoints as the views. For every other request it returns `None`, and the
server passes the request to gunicorn's parser and to Flask, which also report the errors. The two
paths give the same response, byte for byte.
"""

import re
import uuid
from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple

from streetlight.service.inference.codecs import native, v2
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.resolution import ServedModel
from streetlight.service.observability import metrics
from streetlight.service.web.middleware.request_id import REQUEST_ID_PATTERN
from streetlight.service.web.response import FastPath, RawResponse
from streetlight.service.wiring import Services

# The route, as metrics and logs name it, and the endpoint of each method and path.
Routes = dict[tuple[str, str], tuple[str, InferenceEndpoint[Any]]]

# A fast response delays all other connections of the worker, so its cost is bounded.
# Bytes of a JSON body.
MAX_JSON_BODY = 16 * 1024
# Bytes of a whole request: the limit for tensors in binary, which need no parsing.
MAX_REQUEST = 64 * 1024
# Multiplications of weights: rows times weights.
MAX_MULTIPLICATIONS = 50_000

# An unambiguous request head: plain field names, printable values, no folded lines. It must accept
# no head that gunicorn's parser rejects or reads differently; a line has at most 8,190 bytes there.
HEAD = re.compile(
    rb"POST (/[A-Za-z0-9/_.-]{1,200}) HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9-]{1,100}:[\x20-\x7e]{0,8000}\r\n){1,40}\r\n"
)
# The headers that affect the framing, the decoding, the routing or the response of a request.
SIGNIFICANT_HEADERS = re.compile(
    rb"\n(content-length|content-encoding|transfer-encoding|te|trailer|connection|keep-alive|expect|"
    rb"proxy-connection|upgrade|http2-settings|host|content-type|x-request-id|"
    rb"x-forwarded-(?:proto(?:col)?|ssl)|accept-encoding|inference-header-content-length):"
    rb" ?([^\r]*)",
    re.IGNORECASE,
)
VALID_LENGTH = re.compile(rb"[0-9]{1,5}")
VALID_HOST = re.compile(rb"[A-Za-z0-9.:-]{1,200}")
VALID_REQUEST_ID = re.compile(REQUEST_ID_PATTERN.encode())
# Significant headers with which a request can still be plain, some with certain values only.
COMMON_HEADERS = frozenset(
    b"content-length host x-request-id connection content-type x-forwarded-proto".split()
)
BINARY_HEADER = b"inference-header-content-length"
USUAL_HEADERS = COMMON_HEADERS | {b"accept-encoding"}
USUAL_IF_COMPRESSIBLE = COMMON_HEADERS | {BINARY_HEADER}


class FastRequest(NamedTuple):
    """A request that the fast path understands.

    Attributes:
        path: the request target.
        request_id: the `X-Request-ID` of the request, or a new one.
        fields: the values of the significant headers, by their names in lower case.
        body: the request body.
        keep_alive: whether the client keeps the connection open.
        query: the query string, which is always empty.
        model, version, label: always `None`, for the live version.
    """

    path: str
    request_id: str
    fields: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    query: bytes = b""
    model: str | None = None
    version: str | None = None
    label: str | None = None

    def header(self, name: str) -> str | None:
        """Return the value of a significant header, or `None` if it wasn't sent."""
        value = self.fields.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")

    def best_match(self, _media_types: Sequence[str]) -> str | None:
        """Leave the request to the normal path, which negotiates the media type."""
        raise NotImplementedError


def routes(model: str) -> Routes:
    """Return the routes of the fast path for a model of this name."""
    return {
        ("POST", "/predict"): ("/predict", native.PREDICT),
        ("POST", "/predict/batch"): ("/predict/batch", native.PREDICT_BATCH),
        ("POST", f"/v2/models/{model}/infer"): ("/v2/models/<model>/infer", v2.INFER),
    }


def build_fast_path(services: Services) -> FastPath:
    """Return the function that answers a request from its bytes, or returns `None`."""
    model, endpoints = services.model, routes(services.model.name)
    max_request = min(MAX_REQUEST, services.settings.max_body_bytes)

    def respond(data: bytes) -> RawResponse | None:
        began = perf_counter()
        if len(data) > max_request or not (head := HEAD.match(data)):
            return None
        path = head[1].decode()
        if (matched := endpoints.get(("POST", path))) is None:
            return None
        route, endpoint = matched
        if (request := _parse(path, head, data, endpoint)) is None:
            return None
        if (response := _answer(request, endpoint, route, model)) is not None:
            metrics.count_request(route, "POST", 200, perf_counter() - began)
        return response

    return respond


def _answer(
    request: FastRequest, endpoint: InferenceEndpoint[Any], route: str, model: ServedModel
) -> RawResponse | None:
    """Return the response to a request, or `None` if it is invalid or too expensive."""
    response = endpoint.try_within(MAX_MULTIPLICATIONS, request, model)
    if response is None:
        return None
    body = b"".join(response.body)
    more = "Vary: Accept-Encoding\r\n" if endpoint.compressible else ""
    for name, value in reversed(response.headers):
        more = f"{name}: {value}\r\n{more}"
    headers = (
        f"Content-Type: {response.media_type}\r\nContent-Length: {len(body)}\r\n"
        f"{more}X-Request-ID: {request.request_id}\r\n\r\n"
    ).encode()
    log_fields = {"request_id": request.request_id, "route": route, "version": response.version}
    return RawResponse(headers, body, request.path, log_fields, request.keep_alive)


def _parse(
    path: str, head: re.Match[bytes], data: bytes, endpoint: InferenceEndpoint[Any]
) -> FastRequest | None:
    """Return the parts of a complete request, or `None` if any significant header is unusual."""
    significant = SIGNIFICANT_HEADERS.findall(head[0])
    fields = {name.lower(): value for name, value in significant}
    # The response is compressed on the normal path only.
    usual = USUAL_IF_COMPRESSIBLE if endpoint.compressible else USUAL_HEADERS
    length, request_id = fields.get(b"content-length", b""), fields.get(b"x-request-id")
    connection = fields.get(b"connection", b"keep-alive").lower()
    valid = (
        usual.issuperset(fields)
        and len(significant) == len(fields)  # none is repeated
        and VALID_LENGTH.fullmatch(length)
        and VALID_HOST.fullmatch(fields.get(b"host", b""))
        and (not request_id or VALID_REQUEST_ID.fullmatch(request_id))
        and connection in (b"keep-alive", b"close")
    )
    if not valid:
        return None
    body = data[head.end() :]
    if len(body) != int(length) or not body:
        return None
    if len(body) > MAX_JSON_BODY and BINARY_HEADER not in fields:
        return None
    identifier = request_id.decode() if request_id else uuid.uuid4().hex
    return FastRequest(path, identifier, fields, body, connection == b"keep-alive")
