"""The quick door: `POST /predict` and small batches, answered from the bytes of their requests.

Only what is plainly such a request and gets a prediction is answered here, by the same functions
as in `predict`. Everything else, errors above all, goes the usual way, through gunicorn's parser
and Flask; what is said there is what is said here, byte for byte.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from model.version import Version
from service import batch_json, metrics, predictions
from service.bootstrap import Services
from service.predictions import live_version
from service.web.exchange import as_json
from service.web.predict import PredictBody

logger = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024

# A head that can be taken in one way only: plain names, printable values, no line folded.
HEAD = re.compile(
    rb"POST (/predict(?:/batch)?) HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9-]{1,100}:[\x20-\x7e]*\r\n){1,40}\r\n"
)
# Those fields that have a say in how a request is framed, decoded or called.
TELLING = re.compile(
    rb"\n(content-length|content-encoding|transfer-encoding|te|trailer|connection|keep-alive|expect|"
    rb"proxy-connection|upgrade|http2-settings|host|x-request-id|x-forwarded-(?:protocol|ssl)):"
    rb" ?([^\r]*)",
    re.IGNORECASE,
)
LENGTH = re.compile(rb"[0-9]{1,5}")
HOST = re.compile(rb"[A-Za-z0-9.:-]{1,200}")
FIT = re.compile(rb"[\x21-\x7e]{1,128}")


class Answered(NamedTuple):
    """The application's headers, the body, what the log is to say; is the connection kept?"""

    headers: bytes
    body: bytes
    known: dict[str, Any]
    keep: bool


Quick = Callable[[bytes], Answered | None]


def quick_door(services: Services) -> Quick:
    """Return what answers a request, or `None` for what is to go the usual way."""
    repository = services.repository
    most = min(MOST_BYTES, services.settings.max_body_bytes)

    def answer(data: bytes) -> Answered | None:
        began = perf_counter()
        if len(data) > most or not (taken := _taken(data)):
            return None
        try:
            version = live_version(repository)
            inferred = (_one if taken.route == "/predict" else _many)(version, taken.body)
        except Exception:  # noqa: BLE001 - it is found, told and logged again on the usual way
            return None
        if inferred is None:
            return None
        headers = (
            b"Content-Type: application/json\r\nContent-Length: %d\r\nX-Request-ID: %s\r\n\r\n"
            % (len(inferred.said), taken.request_id)
        )
        ended = perf_counter()
        phases = (inferred.asked - began, inferred.answered - inferred.asked)
        try:
            metrics.count_request(taken.route, "POST", 200, ended - began)
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
            "route": taken.route,
            "version": version.number,
        }
        return Answered(headers, inferred.said, known, taken.keep)

    return answer


class Inferred(NamedTuple):
    """What the network said, and when it was asked and had answered."""

    said: bytes
    rows: int
    walking: int
    asked: float
    answered: float


def _one(version: Version, body: bytes) -> Inferred:
    lights = PredictBody.model_validate_json(body).lights
    asked = perf_counter()
    told = predictions.predict(version, lights)
    answered = perf_counter()
    return Inferred(as_json(told) + b"\n", 1, int(told.decision == "walk"), asked, answered)


def _many(version: Version, body: bytes) -> Inferred | None:
    if (rows := batch_json.plain_rows(body)) is None:
        return None
    asked = perf_counter()
    scores = predictions.score_batch(version, rows)
    answered = perf_counter()
    said, walking = batch_json.told(scores, version.number), batch_json.walking(scores)
    return Inferred(said, len(scores), walking, asked, answered)


class Taken(NamedTuple):
    """What there is in a request; is its connection kept?"""

    route: str
    request_id: bytes
    body: bytes
    keep: bool


def _taken(data: bytes) -> Taken | None:
    """Take a whole request that is plain apart."""
    if not (head := HEAD.match(data)):
        return None
    telling = TELLING.findall(head[0])
    fields = {name.lower(): value for name, value in telling}
    once = len(telling) == len(fields)
    length, host = fields.pop(b"content-length", b""), fields.pop(b"host", b"")
    request_id = fields.pop(b"x-request-id", b"") or uuid.uuid4().hex.encode()
    connection = fields.pop(b"connection", b"keep-alive").lower()
    plain = LENGTH.fullmatch(length) and HOST.fullmatch(host) and FIT.fullmatch(request_id)
    if fields or not (once and plain and connection in (b"keep-alive", b"close")):
        return None
    body = data[head.end() :]
    if len(body) != int(length) or not body:
        return None
    return Taken(head[1].decode(), request_id, body, connection == b"keep-alive")
