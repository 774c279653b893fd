"""Count and time every response, and set the fields of its log line.

The endpoints of `streetlight.service.inference` count predictions.
"""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from flask import Flask, Response, current_app, g, request

from streetlight.service.observability import metrics
from streetlight.service.observability.logs import LOG_FIELDS

# The key, in the WSGI environment, of the request's start in seconds of `perf_counter`.
BEGAN = "streetlight.began"


ViewT = TypeVar("ViewT", bound=Callable[..., Response])


def quiet(view: ViewT) -> ViewT:
    """Mark a view that is requested periodically: its successes are logged at the level debug."""
    vars(view)["quiet"] = True
    return view


def init_app(app: Flask) -> None:
    """Measure every response of `app`; call it before other middleware, to include their time."""
    app.before_request(_start_timer)
    app.after_request(_record_response)


def _start_timer() -> None:
    request.environ[BEGAN] = perf_counter()


def _record_response(response: Response) -> Response:
    environ, rule = request.environ, request.url_rule  # `request` is a proxy: each access is slow
    route = rule.rule if rule else metrics.OTHER
    environ[LOG_FIELDS] = {
        "request_id": g.get("request_id"),
        "route": route,
        "version": g.get("version"),
        "key": g.get("key"),
    }
    view = current_app.view_functions.get(request.endpoint or "")
    if hasattr(view, "quiet") and response.status_code < 400:
        environ[LOG_FIELDS]["level"] = logging.DEBUG
    method = environ["REQUEST_METHOD"]
    metrics.count_request(
        route,
        method if method in metrics.METHODS else metrics.OTHER,
        response.status_code,
        perf_counter() - environ[BEGAN],
    )
    return response
