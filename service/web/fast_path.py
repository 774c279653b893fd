"""The fast path: predictions for few light states, answered from the bytes of their requests.

It answers an unambiguous request for a prediction, if the prediction succeeds, with the same
functions as `api.predict` and `protocols.v2`. For every other request it returns `None`, and the
server passes the request to gunicorn's parser and to Flask, which also report the errors. The two
paths give the same response, byte for byte.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple

from streetlight.model.registry.version import Version
from streetlight.service.inference import prediction
from streetlight.service.inference.codecs import batch_json, v2_request, v2_response
from streetlight.service.inference.resolution import live_version
from streetlight.service.observability import metrics
from streetlight.service.web.api.predict import PredictBody
from streetlight.service.web.middleware.request_id import REQUEST_ID_PATTERN
from streetlight.service.web.response import FastPath, RawResponse, dump_json
from streetlight.service.wiring import Services

logger = logging.getLogger(__name__)

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
VARY = b"Vary: Accept-Encoding\r\n"


class InferenceResult(NamedTuple):
    """An encoded prediction, and what the metrics record about it.

    Attributes:
        headers: the header lines for the body.
        body: the response body.
        rows: the number of light states.
        walk_count: the number of light states with the decision walk.
        started: `perf_counter()` before the network.
        finished: `perf_counter()` after the network.
    """

    headers: bytes
    body: bytes
    rows: int
    walk_count: int
    started: float
    finished: float


class ParsedRequest(NamedTuple):
    """A request that the fast path understands.

    Attributes:
        path: the request target.
        request_id: the `X-Request-ID` of the request, or a new one.
        body: the request body.
        header_length: the value of `Inference-Header-Content-Length`, if it was sent.
        keep_alive: whether the client keeps the connection open.
    """

    path: str
    request_id: bytes
    body: bytes
    header_length: str | None
    keep_alive: bool


def build_fast_path(services: Services) -> FastPath:
    """Return the function that answers a request from its bytes, or returns `None`."""
    repository, model = services.repository, services.settings.model_name
    max_request = min(MAX_REQUEST, services.settings.max_body_bytes)
    # The route, as metrics and logs name it, and the prediction of each path.
    routes: dict[bytes, tuple[str, Callable[[Version, ParsedRequest], InferenceResult | None]]] = {
        b"/predict": ("/predict", _predict_one),
        b"/predict/batch": ("/predict/batch", _predict_batch),
        b"/v2/models/%s/infer" % model.encode(): (
            "/v2/models/<model>/infer",
            partial(_infer_v2, model),
        ),
    }

    def respond(data: bytes) -> RawResponse | None:
        received = perf_counter()
        if len(data) > max_request or not (head := HEAD.match(data)):
            return None
        if (matched := routes.get(head[1])) is None or (request := _parse(head, data)) is None:
            return None
        route, infer = matched
        try:
            version = live_version(repository)
            result = infer(version, request)
        except Exception:  # noqa: BLE001 - Flask answers the request again, and reports the error
            return None
        if result is None:
            return None
        headers = b"%sX-Request-ID: %s\r\n\r\n" % (result.headers, request.request_id)
        encoded = perf_counter()
        phases = (
            result.started - received,
            result.finished - result.started,
            encoded - result.finished,
        )
        try:
            metrics.count_request(route, "POST", 200, encoded - received)
            metrics.count_inference(
                version.number,
                result.walk_count,
                result.rows - result.walk_count,
                phases,
                time.time(),
            )
        except Exception:
            # Counting can fail, for example if the disk is full; the response is sent anyway.
            logger.exception("could not count a request in the metrics")
        log_fields = {
            "request_id": request.request_id.decode(),
            "route": route,
            "version": version.number,
        }
        return RawResponse(headers, result.body, request.path, log_fields, request.keep_alive)

    return respond


def _headers(subtype: bytes, size: int, more: bytes = b"") -> bytes:
    return b"Content-Type: application/%s\r\nContent-Length: %d\r\n%s" % (subtype, size, more)


def _too_expensive(version: Version, rows: int) -> bool:
    return rows * version.network.weight_count > MAX_MULTIPLICATIONS


def _predict_one(version: Version, request: ParsedRequest) -> InferenceResult | None:
    if len(request.body) > MAX_JSON_BODY or _too_expensive(version, 1):
        return None
    lights = PredictBody.model_validate_json(request.body).lights
    started = perf_counter()
    predicted = prediction.predict(version, lights)
    finished = perf_counter()
    body, walk_count = dump_json(predicted) + b"\n", int(predicted.decision == "walk")
    return InferenceResult(_headers(b"json", len(body)), body, 1, walk_count, started, finished)


def _predict_batch(version: Version, request: ParsedRequest) -> InferenceResult | None:
    if len(request.body) > MAX_JSON_BODY or (rows := batch_json.decode_rows(request.body)) is None:
        return None
    if _too_expensive(version, len(rows)):
        return None
    started = perf_counter()
    scores = prediction.score_batch(version, rows)
    finished = perf_counter()
    body, walk_count = batch_json.encode(scores, version.number), batch_json.count_walk(scores)
    headers = _headers(b"json", len(body))
    return InferenceResult(headers, body, len(scores), walk_count, started, finished)


def _infer_v2(model: str, version: Version, request: ParsedRequest) -> InferenceResult | None:
    if request.header_length is None and len(request.body) > MAX_JSON_BODY:
        return None
    decoded = v2_request.parse(request.body, request.header_length, version.network.light_count)
    if _too_expensive(version, len(decoded.lights)):
        return None
    started = perf_counter()
    scores = prediction.score_rows(version, decoded.lights, v2_request.INPUT)
    finished = perf_counter()
    encoded = v2_response.render(decoded, scores, model, version.number)
    body, walk_count = (
        b"".join([encoded.header, *(encoded.binary or ())]),
        batch_json.count_walk(scores),
    )
    if encoded.binary is None:
        headers = _headers(b"json", len(body), VARY)
    else:
        length = b"Inference-Header-Content-Length: %d\r\n" % len(encoded.header)
        headers = _headers(b"octet-stream", len(body), length + VARY)
    return InferenceResult(headers, body, len(scores), walk_count, started, finished)


def _parse(head: re.Match[bytes], data: bytes) -> ParsedRequest | None:
    """Return the parts of a complete request, or `None` if any significant header is unusual."""
    significant = SIGNIFICANT_HEADERS.findall(head[0])
    fields = {name.lower(): value for name, value in significant}
    no_repeats = len(significant) == len(fields)
    length, host = fields.pop(b"content-length", b""), fields.pop(b"host", b"")
    request_id = fields.pop(b"x-request-id", b"") or uuid.uuid4().hex.encode()
    connection = fields.pop(b"connection", b"keep-alive").lower()
    header_length, path = fields.pop(b"inference-header-content-length", None), head[1].decode()
    if path.startswith("/predict"):
        fields.pop(b"accept-encoding", None)  # responses of these routes are never compressed
    for name in (b"content-type", b"x-forwarded-proto"):
        fields.pop(name, None)  # any value, but no second one
    valid = (
        VALID_LENGTH.fullmatch(length)
        and VALID_HOST.fullmatch(host)
        and VALID_REQUEST_ID.fullmatch(request_id)
    )
    if fields or not (no_repeats and valid and connection in (b"keep-alive", b"close")):
        return None
    body = data[head.end() :]
    if len(body) != int(length) or not body:
        return None
    decoded_length = None if header_length is None else header_length.decode("latin-1")
    return ParsedRequest(path, request_id, body, decoded_length, connection == b"keep-alive")
