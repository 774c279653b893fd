"""Count and time every response, and set the fields of its log line.

The endpoints of `streetlight.service.inference` count predictions.
"""

from time import perf_counter

from flask import Flask, Response, g, request

from streetlight.service.observability import metrics
from streetlight.service.observability.logs import LOG_FIELDS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The key, in the WSGI environment, of the request's start in seconds of `perf_counter`.
BEGAN = "streetlight.began"


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
    method = environ["REQUEST_METHOD"]
    metrics.count_request(
        route,
        method if method in METHODS else metrics.OTHER,
        response.status_code,
        perf_counter() - environ[BEGAN],
    )
    return response
