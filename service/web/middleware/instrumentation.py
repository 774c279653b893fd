"""Count and time every response, and every prediction by its version.

A view that predicts is marked with `inference_view`, and calls `record_inference` as soon as it has
the scores. The counters are in `streetlight.service.observability.metrics`.
"""

import time
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple, TypeVar

from flask import Flask, Response, current_app, g, request

from streetlight.service.observability import metrics
from streetlight.service.observability.logs import LOG_FIELDS
from streetlight.service.web.application import services

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The key, in the WSGI environment, of the request's start in seconds of `perf_counter`.
BEGAN = "streetlight.began"

ViewT = TypeVar("ViewT", bound=Callable[..., Response])


class _Inference(NamedTuple):
    version: int
    began: float
    ended: float
    rows: int
    walk_count: int


def inference_view(view: ViewT) -> ViewT:
    """Mark a view whose error responses count as failed predictions."""
    vars(view)["infers"] = True
    return view


def record_inference(version: int, began: float, rows: int, walk_count: int) -> None:
    """Record the inference of the current request, which ends now; call it once per request.

    Args:
        version: the number of the version.
        began: the value of `perf_counter` when the inference began.
        rows: the number of light states.
        walk_count: the number of rows with the decision walk.
    """
    g.inference = _Inference(version, began, perf_counter(), rows, walk_count)


def init_app(app: Flask) -> None:
    """Measure every response of `app`; call it before other middleware, to include their time."""
    app.before_request(_start_timer)
    app.after_request(_record_response)


def _start_timer() -> None:
    request.environ[BEGAN] = perf_counter()


def _record_response(response: Response) -> Response:
    environ, rule = request.environ, request.url_rule  # `request` is a proxy: each access is slow
    route = rule.rule if rule else metrics.OTHER
    inference: _Inference | None = g.get("inference")
    environ[LOG_FIELDS] = {
        "request_id": g.get("request_id"),
        "route": route,
        "version": inference and inference.version,
    }
    method = environ["REQUEST_METHOD"]
    try:
        _count(
            route,
            method if method in METHODS else metrics.OTHER,
            response.status_code,
            environ[BEGAN],
            inference,
        )
    except Exception:
        # Counting can fail, for example if the disk is full; the response is sent anyway.
        current_app.logger.exception("could not count a request in the metrics")
    return response


def _count(
    route: str, method: str, status: int, began: float, inference: _Inference | None
) -> None:
    ended = perf_counter()
    metrics.count_request(route, method, status, ended - began)
    if inference and status < 400:
        phases = (
            inference.began - began,
            inference.ended - inference.began,
            ended - inference.ended,
        )
        walk_count, stop_count = inference.walk_count, inference.rows - inference.walk_count
        metrics.count_inference(inference.version, walk_count, stop_count, phases, time.time())
    elif status >= 400 and _is_inference_view(request.endpoint):
        metrics.count_failure(_requested_version(), ended - began)


def _is_inference_view(endpoint: str | None) -> bool:
    return getattr(current_app.view_functions.get(endpoint or ""), "infers", False)


def _requested_version() -> int:
    """Return the version number in the path, or the live one; 0 without either."""
    repository = services().repository
    requested = str((request.view_args or {}).get("version"))
    if requested.isdecimal() and int(requested) in repository.versions():
        return int(requested)
    return repository.live_number() or 0
