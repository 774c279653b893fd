"""The quick door: predictions for a few light states, answered from the bytes of their requests.

Only what is plainly such a request and gets a prediction is answered here, by the same functions
as in `predict` and `v2`. Everything else, errors above all, goes the usual way, through gunicorn's
parser and Flask; what is said there is what is said here, byte for byte.
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
from streetlight.service.inference import batch_json, prediction, v2_request, v2_response
from streetlight.service.inference.resolution import live_version
from streetlight.service.observability import metrics
from streetlight.service.web.api.predict import PredictBody
from streetlight.service.web.response import FastPath, RawResponse, dump_json
from streetlight.service.wiring import Services

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024
# Packed numbers take no time to read.
MAX_PACKED = 64 * 1024
# Rows times weights: what takes longer would keep the worker's other connections waiting.
MAX_PRODUCTS = 50_000

# A head that can be taken in one way only: plain names, printable values, no line folded.
HEAD = re.compile(
    rb"POST (/[A-Za-z0-9/_.-]{1,200}) HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9-]{1,100}:[\x20-\x7e]*\r\n){1,40}\r\n"
)
# Those fields that have a say in how a request is framed, decoded or called.
SIGNIFICANT_HEADERS = re.compile(
    rb"\n(content-length|content-encoding|transfer-encoding|te|trailer|connection|keep-alive|expect|"
    rb"proxy-connection|upgrade|http2-settings|host|x-request-id|x-forwarded-(?:protocol|ssl)|"
    rb"accept-encoding|inference-header-content-length):"
    rb" ?([^\r]*)",
    re.IGNORECASE,
)
LENGTH = re.compile(rb"[0-9]{1,5}")
HOST = re.compile(rb"[A-Za-z0-9.:-]{1,200}")
VARY = b"Vary: Accept-Encoding\r\n"
VALID_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class InferenceResult(NamedTuple):
    """What is said of the network's answer, how it is counted, and when it was asked and had."""

    headers: bytes
    said: bytes
    rows: int
    walking: int
    asked: float
    answered: float


class ParsedRequest(NamedTuple):
    """What there is in a request; is its connection kept?"""

    path: str
    request_id: bytes
    body: bytes
    header_length: str | None
    keep: bool


def build_fast_path(services: Services) -> FastPath:
    """Return what answers a request, or `None` for what is to go the usual way."""
    repository, model = services.repository, services.settings.model_name
    most = min(MAX_PACKED, services.settings.max_body_bytes)
    doors: dict[bytes, tuple[str, Callable[[Version, ParsedRequest], InferenceResult | None]]] = {
        b"/predict": ("/predict", _one),
        b"/predict/batch": ("/predict/batch", _many),
        b"/v2/models/%s/infer" % model.encode(): (
            "/v2/models/<model>/infer",
            partial(_tensors, model),
        ),
    }

    def answer(data: bytes) -> RawResponse | None:
        began = perf_counter()
        if len(data) > most or not (head := HEAD.match(data)):
            return None
        if (door := doors.get(head[1])) is None or (taken := _taken(head, data)) is None:
            return None
        route, infer = door
        try:
            version = live_version(repository)
            inferred = infer(version, taken)
        except Exception:  # noqa: BLE001 - it is found, told and logged again on the usual way
            return None
        if inferred is None:
            return None
        headers = b"%sX-Request-ID: %s\r\n\r\n" % (inferred.headers, taken.request_id)
        ended = perf_counter()
        phases = (inferred.asked - began, inferred.answered - inferred.asked)
        try:
            metrics.count_request(route, "POST", 200, ended - began)
            metrics.count_inference(
                version.number,
                inferred.walking,
                inferred.rows - inferred.walking,
                (*phases, ended - inferred.answered),
                time.time(),
            )
        except Exception:
            # Such as a full disk: the answer is good all the same.
            logger.exception("an answer was not counted")
        known = {
            "request_id": taken.request_id.decode(),
            "route": route,
            "version": version.number,
        }
        return RawResponse(headers, inferred.said, taken.path, known, taken.keep)

    return answer


def _headers(kind: bytes, size: int, more: bytes = b"") -> bytes:
    return b"Content-Type: application/%s\r\nContent-Length: %d\r\n%s" % (kind, size, more)


def _is_long(version: Version, rows: int) -> bool:
    return rows * version.network.weight_count > MAX_PRODUCTS


def _one(version: Version, taken: ParsedRequest) -> InferenceResult | None:
    if len(taken.body) > MAX_BYTES or _is_long(version, 1):
        return None
    lights = PredictBody.model_validate_json(taken.body).lights
    asked = perf_counter()
    told = prediction.predict(version, lights)
    answered = perf_counter()
    said, walking = dump_json(told) + b"\n", int(told.decision == "walk")
    return InferenceResult(_headers(b"json", len(said)), said, 1, walking, asked, answered)


def _many(version: Version, taken: ParsedRequest) -> InferenceResult | None:
    if len(taken.body) > MAX_BYTES or (rows := batch_json.decode_rows(taken.body)) is None:
        return None
    if _is_long(version, len(rows)):
        return None
    asked = perf_counter()
    scores = prediction.score_batch(version, rows)
    answered = perf_counter()
    said, walking = batch_json.encode(scores, version.number), batch_json.count_walk(scores)
    return InferenceResult(
        _headers(b"json", len(said)), said, len(scores), walking, asked, answered
    )


def _tensors(model: str, version: Version, taken: ParsedRequest) -> InferenceResult | None:
    if taken.header_length is None and len(taken.body) > MAX_BYTES:
        return None
    request = v2_request.parse(taken.body, taken.header_length, version.network.light_count)
    if _is_long(version, len(request.lights)):
        return None
    asked = perf_counter()
    scores = prediction.score_rows(version, request.lights, v2_request.INPUT)
    answered = perf_counter()
    told = v2_response.render(request, scores, model, version.number)
    said = b"".join([told.header, *(told.binary or ())])
    if told.binary is None:
        headers = _headers(b"json", len(said), VARY)
    else:
        length = b"Inference-Header-Content-Length: %d\r\n" % len(told.header)
        headers = _headers(b"octet-stream", len(said), length + VARY)
    return InferenceResult(
        headers, said, len(scores), batch_json.count_walk(scores), asked, answered
    )


def _taken(head: re.Match[bytes], data: bytes) -> ParsedRequest | None:
    """Take a whole request that is plain apart."""
    telling = SIGNIFICANT_HEADERS.findall(head[0])
    fields = {name.lower(): value for name, value in telling}
    once = len(telling) == len(fields)
    length, host = fields.pop(b"content-length", b""), fields.pop(b"host", b"")
    request_id = fields.pop(b"x-request-id", b"") or uuid.uuid4().hex.encode()
    connection = fields.pop(b"connection", b"keep-alive").lower()
    header_length, path = fields.pop(b"inference-header-content-length", None), head[1].decode()
    if path.startswith("/predict"):
        fields.pop(b"accept-encoding", None)  # their answers are never compressed
    plain = (
        LENGTH.fullmatch(length) and HOST.fullmatch(host) and VALID_REQUEST_ID.fullmatch(request_id)
    )
    if fields or not (once and plain and connection in (b"keep-alive", b"close")):
        return None
    body = data[head.end() :]
    if len(body) != int(length) or not body:
        return None
    told = None if header_length is None else header_length.decode("latin-1")
    return ParsedRequest(path, request_id, body, told, connection == b"keep-alive")
