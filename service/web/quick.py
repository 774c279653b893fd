"""The quick door: `POST /predict` answered from the bytes of its request.

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

from service import metrics, predictions
from service.bootstrap import Services
from service.predictions import live_version
from service.web.exchange import as_json
from service.web.predict import PredictBody

logger = logging.getLogger(__name__)

ROUTE = "/predict"
MOST_BYTES = 8192

# A head that can be taken in one way only: plain names, printable values, no line folded.
HEAD = re.compile(
    rb"POST /predict HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9-]{1,100}: ?[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\r\n){1,40}\r\n"
)
# Those fields that have a say in how a request is framed, decoded or called.
TELLING = re.compile(
    rb"\n(content-length|content-encoding|transfer-encoding|te|trailer|connection|keep-alive|expect|"
    rb"proxy-connection|upgrade|http2-settings|host|x-request-id|x-forwarded-(?:protocol|ssl)):"
    rb" ?([^\r]*)",
    re.IGNORECASE,
)
LENGTH = re.compile(rb"[0-9]{1,4}")
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
        request_id, body, keep = taken
        try:
            version = live_version(repository)
            lights = PredictBody.model_validate_json(body).lights
            asked = perf_counter()
            told = predictions.predict(version, lights)
        except Exception:  # noqa: BLE001 - it is found, told and logged again on the usual way
            return None
        computed = perf_counter()
        said = as_json(told) + b"\n"
        headers = (
            b"Content-Type: application/json\r\nContent-Length: %d\r\nX-Request-ID: %s\r\n\r\n"
            % (len(said), request_id)
        )
        ended = perf_counter()
        walking = int(told.decision == "walk")
        try:
            metrics.count_request(ROUTE, "POST", 200, ended - began)
            phases = (asked - began, computed - asked, ended - computed)
            metrics.count_inference(told.version, walking, 1 - walking, phases, time.time())
        except Exception:
            # Such as a full disk: the answer is good all the same.
            logger.exception("an answer was not counted")
        known = {"request_id": request_id.decode(), "route": ROUTE, "version": told.version}
        return Answered(headers, said, known, keep)

    return answer


def _taken(data: bytes) -> tuple[bytes, bytes, bool] | None:
    """Take a whole request that is plain apart: its id, its body, and is the connection kept?"""
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
    return request_id, body, connection == b"keep-alive"
