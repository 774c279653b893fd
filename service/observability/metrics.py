"""Metrics: what the workers count as they answer, in files that each of them can read.

Whichever worker is asked, it adds up the files of all. What is looked up only when somebody asks
is in `census`.
"""

import os
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Whatever a caller makes up must not become a label, or there would be no end of them.
OTHER = "other"

# Whose files this process counts into. By place and not by process: a worker goes on where the one
# that it replaces ended, so a sum loses nothing, and files don't add up however often one dies.
worker_slot = "master"

_registry = CollectorRegistry()
_requests = Counter(
    "streetlight_requests",
    "Requests that were answered.",
    ["route", "method", "status"],
    registry=_registry,
)
_durations = Histogram(
    "streetlight_request_duration_seconds",
    "Time to an answer, without what it takes to receive the request and to send it.",
    ["route"],
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=_registry,
)
_predictions = Counter(
    "streetlight_predictions",
    "Light states that were decided.",
    ["version", "decision"],
    registry=_registry,
)
_inferences = Counter(
    "streetlight_inference_requests",
    "Requests for predictions, by what became of them.",
    ["version", "result"],
    registry=_registry,
)
_phases = Counter(
    "streetlight_inference_seconds",
    "Time of successful requests for predictions: before the network, in it, and after it.",
    ["version", "phase"],
    registry=_registry,
)
_failed = Counter(
    "streetlight_inference_failed_seconds",
    "Time of requests for predictions that failed.",
    ["version"],
    registry=_registry,
)
_last = Gauge(
    "streetlight_last_inference_timestamp_seconds",
    "When a prediction was made last, in seconds since 1970.",
    ["version"],
    multiprocess_mode="max",
    registry=_registry,
)


def share_counters(folder: str) -> None:
    """Count in files in `folder` from now on, which all processes that count there share."""
    os.environ[FOLDER] = folder
    values.ValueClass = values.MultiProcessValue(lambda: worker_slot)  # type: ignore[no-untyped-call]


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count an answer."""
    _answers(route, method, status).inc()
    _durations_of(route).observe(seconds)


def count_rejection(status: int) -> None:
    """Count a request that was refused before it was known what it asks for."""
    _answers(OTHER, OTHER, status).inc()


def count_inference(
    version: int, walking: int, stopping: int, phases: tuple[float, float, float], at: float
) -> None:
    """Count a request for predictions that was answered: rows, seconds of each phase, and when."""
    counters = _counters(version)
    counters.requests.inc()
    if walking:
        counters.walk.inc(walking)
    if stopping:
        counters.stop.inc(stopping)
    counters.input.inc(phases[0])
    counters.infer.inc(phases[1])
    counters.output.inc(phases[2])
    counters.last.set(at)


def count_failure(version: int, seconds: float) -> None:
    """Count a request for predictions that failed; version 0 stands for none."""
    _inferences.labels(version, "failure").inc()
    _failed.labels(version).inc(seconds)


def exposition(accept: str, *others: Collector) -> tuple[bytes, str]:
    """Return all metrics, and those of `others`, as text that suits `accept`, and its type."""
    registry = CollectorRegistry()
    for collector in (_Counted(), *others):
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Counted(Collector):
    def collect(self) -> Iterable[Metric]:
        return collect()


def collect() -> Iterable[Metric]:
    """Return what all workers have counted."""
    if FOLDER in os.environ:
        return MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call, no-any-return]
    return _registry.collect()


# To resolve labels takes longer than to count.


@cache
def _answers(route: str, method: str, status: int) -> Counter:
    return _requests.labels(route, method, status)


@cache
def _durations_of(route: str) -> Histogram:
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
