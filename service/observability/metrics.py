"""Prometheus metrics of requests and predictions, shared by all workers of a server.

Each worker counts in memory of its own slot; the worker that answers a scrape sums the slots.
`shared_counters` has that memory, `learning.state_collector` the metrics that are computed during a
scrape.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import NamedTuple, ParamSpec

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streetlight.service.observability import shared_counters

logger = logging.getLogger(__name__)

# The label for unknown routes and methods: clients must not be able to add labels without limit.
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The number of this process's memory. `gunicorn_conf.pre_fork` gives a new worker the slot of the
# one that it replaces, so that the counts continue.
worker_slot: int | None = None

_registry = CollectorRegistry()
_requests = Counter(
    "streetlight_requests",
    "Requests answered.",
    ["route", "method", "status"],
    registry=_registry,
)
_durations = Histogram(
    "streetlight_request_duration_seconds",
    "Time to handle a request, without receiving it and sending the response.",
    ["route"],
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=_registry,
)
_predictions = Counter(
    "streetlight_predictions",
    "Light states predicted.",
    ["version", "decision"],
    registry=_registry,
)
_inferences = Counter(
    "streetlight_inference_requests",
    "Requests for predictions, by result.",
    ["version", "result"],
    registry=_registry,
)
_phases = Counter(
    "streetlight_inference_seconds",
    "Time of successful requests for predictions, by phase: before, in and after the network.",
    ["version", "phase"],
    registry=_registry,
)
_failed = Counter(
    "streetlight_inference_failed_seconds",
    "Time of failed requests for predictions.",
    ["version"],
    registry=_registry,
)
_last = Gauge(
    "streetlight_last_inference_timestamp_seconds",
    "Time of the last prediction, in seconds since 1970.",
    ["version"],
    multiprocess_mode="max",
    registry=_registry,
)
_logged = Counter(
    "streetlight_prediction_log_rows",
    "Predictions for the prediction log, by result: written, or why they were left out.",
    ["result"],
    registry=_registry,
)


def share_counters(slots: int) -> None:
    """Count in shared memory of `slots` workers; to be called before the workers are forked."""
    shared_counters.share(slots)
    values.ValueClass = values.MultiProcessValue(lambda: worker_slot)  # type: ignore[no-untyped-call]


Parameters = ParamSpec("Parameters")


def _log_failure(count: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Log an error of `count` instead of raising it, so that the response is sent anyway."""

    @wraps(count)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            count(*args, **kwargs)
        except Exception:
            logger.exception("could not count a request in the metrics")

    return wrapper


@_log_failure
def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered, and the seconds it took."""
    _request_counter(route, method, status).inc()
    _duration_histogram(route).observe(seconds)


@_log_failure
def count_rejection(status: int) -> None:
    """Count a request that the server rejected before it reached the application."""
    _request_counter(OTHER, OTHER, status).inc()


@_log_failure
def count_inference(
    version: int, walk_count: int, stop_count: int, phases: tuple[float, float, float], at: float
) -> None:
    """Count a successful request for predictions.

    Args:
        version: the version that answered.
        walk_count: the number of light states with the decision walk.
        stop_count: the number of light states with the decision stop.
        phases: seconds before, in and after the network.
        at: the time of the prediction, in seconds since 1970.
    """
    counters = _counters(version)
    counters.requests.inc()
    if walk_count:
        counters.walk.inc(walk_count)
    if stop_count:
        counters.stop.inc(stop_count)
    counters.input.inc(phases[0])
    counters.infer.inc(phases[1])
    counters.output.inc(phases[2])
    counters.last.set(at)


@_log_failure
def count_failure(version: int, seconds: float) -> None:
    """Count a failed request for predictions; version 0 if no version is live."""
    _inferences.labels(version, "failure").inc()
    _failed.labels(version).inc(seconds)


@_log_failure
def count_logged(result: str, rows: int) -> None:
    """Count predictions that the prediction log got, or didn't get, by the reason."""
    _logged.labels(result).inc(rows)


def exposition(accept: str, *others: Collector) -> tuple[bytes, str]:
    """Return all metrics and their content type.

    Args:
        accept: the `Accept` header of the request, which chooses the text format.
        others: collectors whose metrics are added.
    """
    registry = CollectorRegistry()
    for collector in (_SharedCounters(), *others):
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _SharedCounters(Collector):
    def collect(self) -> Iterable[Metric]:
        return collect()


def collect() -> Iterable[Metric]:
    """Return the metrics of all workers, or of this process if the counters aren't shared."""
    return _registry.collect() if worker_slot is None else shared_counters.collect()


# Cached, because looking up the labels takes longer than counting.


@cache
def _request_counter(route: str, method: str, status: int) -> Counter:
    return _requests.labels(route, method, status)


@cache
def _duration_histogram(route: str) -> Histogram:
    return _durations.labels(route)


class _Counters(NamedTuple):
    requests: Counter
    walk: Counter
    stop: Counter
    input: Counter
    infer: Counter
    output: Counter
    last: Gauge


@cache
def _counters(version: int) -> _Counters:
    return _Counters(
        requests=_inferences.labels(version, "success"),
        walk=_predictions.labels(version, "walk"),
        stop=_predictions.labels(version, "stop"),
        input=_phases.labels(version, "input"),
        infer=_phases.labels(version, "infer"),
        output=_phases.labels(version, "output"),
        last=_last.labels(version),
    )
