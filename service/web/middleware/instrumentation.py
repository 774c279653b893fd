"""Measuring: every answer is counted and timed here, and every prediction by its version.

A view that predicts is marked with `inference_view`, and calls `record_inference` when the network
has answered.
What is counted, and how, is in `streetlight.service.observability.metrics`.
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

# In the WSGI environment: when it began.
BEGAN = "streetlight.began"

ViewT = TypeVar("ViewT", bound=Callable[..., Response])


class _Computed(NamedTuple):
    version: int
    began: float
    ended: float
    rows: int
    walking: int


def inference_view(view: ViewT) -> ViewT:
    """Mark a view whose failures count as failed predictions."""
    vars(view)["infers"] = True
    return view


def record_inference(version: int, began: float, rows: int, walking: int) -> None:
    """Tell, once a request, that the network has answered just now.

    Args:
        version: which one.
        began: what `perf_counter` said before it was asked.
        rows: how many light states there were.
        walking: how many of them it decided to walk on.
    """
    g.inference = _Computed(version, began, perf_counter(), rows, walking)


def init_app(app: Flask) -> None:
    """Measure every answer of `app`; to be called first, so that all other parts are included."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    request.environ[BEGAN] = perf_counter()


def _end(response: Response) -> Response:
    environ, rule = request.environ, request.url_rule  # each look at `request` takes its time
    route = rule.rule if rule else metrics.OTHER
    done: _Computed | None = g.get("inference")
    environ[LOG_FIELDS] = {
        "request_id": g.get("request_id"),
        "route": route,
        "version": done and done.version,
    }
    method = environ["REQUEST_METHOD"]
    try:
        _count(
            route,
            method if method in METHODS else metrics.OTHER,
            response.status_code,
            environ[BEGAN],
            done,
        )
    except Exception:
        # Such as a full disk: the answer is good all the same.
        current_app.logger.exception("an answer was not counted")
    return response


def _count(route: str, method: str, status: int, began: float, done: _Computed | None) -> None:
    ended = perf_counter()
    metrics.count_request(route, method, status, ended - began)
    if done and status < 400:
        phases = (done.began - began, done.ended - done.began, ended - done.ended)
        stopping = done.rows - done.walking
        metrics.count_inference(done.version, done.walking, stopping, phases, time.time())
    elif status >= 400 and _infers(request.endpoint):
        metrics.count_failure(_asked_version(), ended - began)


def _infers(endpoint: str | None) -> bool:
    return getattr(current_app.view_functions.get(endpoint or ""), "infers", False)


def _asked_version() -> int:
    repository = services().repository
    given = str((request.view_args or {}).get("version"))
    if given.isdecimal() and int(given) in repository.versions():
        return int(given)
    return repository.live_number() or 0
