"""Spans of requests, jobs and statements, exported by OpenTelemetry: the extra `otel`.

The variables `OTEL_…` of OpenTelemetry configure them. Without an endpoint in these nothing is
imported. Each process exports by a thread of its own, which a fork doesn't copy: `start` is called
after it. `trace_context` has the trace in log lines, which needs no spans.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from streetlight.service.observability.metrics import METHODS, OTHER
from streetlight.service.observability.trace_context import (
    Trace,
    current_trace,
    in_trace,
    parse_traceparent,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# Seconds in which a process that ends exports its last spans.
STOP_TIMEOUT = 2.0

Kind = Literal["SERVER", "CLIENT", "CONSUMER"]
# The attributes of a span; one that is `None` is left out.
Fields = Mapping[str, str | int | None]

log = logging.getLogger(__name__)

_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None


def is_wanted() -> bool:
    """Return whether the variables of OpenTelemetry ask for spans."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    return exporter == "otlp" and not disabled and any(map(os.environ.get, ENDPOINTS))


def prepare() -> None:
    """Import what `start` needs, for all processes that are forked; log why that is impossible."""
    if is_wanted() and (obstacle := _find_obstacle()):
        log.warning("no spans are exported: %s", obstacle)


def _find_obstacle() -> str | None:
    protocol = next(filter(None, map(os.environ.get, PROTOCOLS)), "http/protobuf")
    if protocol != "http/protobuf":
        return f"OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, got {protocol}"
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: PLC0415
        import opentelemetry.sdk.trace.export  # noqa: F401, PLC0415
    except ImportError as error:
        return f"{error}; install it with the extra: pip install streetlight[otel]"
    return None


def start() -> None:
    """Make and export spans in this process, if they are wanted and nothing prevents that."""
    global _provider, _tracer  # noqa: PLW0603 - one provider for each process
    if not is_wanted() or _find_obstacle():
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    release = version("streetlight")
    resource = Resource.create(
        {"service.name": "streetlight", "service.version": release, "process.pid": os.getpid()}
    )
    resource = resource.merge(OTELResourceDetector().detect())
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("streetlight", release)


def stop() -> None:
    """Export the last spans, but don't wait long for a collector that doesn't answer."""
    if _provider:
        last = threading.Thread(target=_provider.shutdown, daemon=True)
        last.start()
        last.join(STOP_TIMEOUT)


def is_on() -> bool:
    """Return whether this process makes spans."""
    return _tracer is not None


def begin(name: str, kind: Kind, parent: Trace | None, fields: Fields) -> Trace | None:
    """Return `parent` with a new span in it, or a new trace with one; `parent` if spans are off."""
    if _tracer is None:
        return parent
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

    context = Context()
    if parent and parent.span:
        context = set_span_in_context(parent.span, context)
    elif parent:
        carrier = {"traceparent": parent.traceparent}
        context = tracecontext.TraceContextTextMapPropagator().extract(carrier, context)
    span = _tracer.start_span(name, context, SpanKind[kind], _present(fields))
    ids = span.get_span_context()
    trace_id = f"{ids.trace_id:032x}"
    return Trace(trace_id, f"00-{trace_id}-{ids.span_id:016x}-{ids.trace_flags:02x}", span)


def end(trace: Trace | None, fields: Fields | None = None, error: str | None = None) -> None:
    """End the span of `trace`, if it has one, with further attributes and the type of an error."""
    if trace is None or trace.span is None:
        return
    trace.span.set_attributes(_present(fields or {}))
    if error:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        trace.span.set_attribute("error.type", error)
        trace.span.set_status(StatusCode.ERROR)
    trace.span.end()


@contextmanager
def span(name: str, kind: Kind, fields: Fields) -> Iterator[None]:
    """Let the block be a span, if spans are on, in the trace of this thread if there is one."""
    if _tracer is None:
        yield
        return
    trace, error = begin(name, kind, current_trace.get(), fields), None
    try:
        with in_trace(trace):
            yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        end(trace, error=error)


def begin_request(method: str, traceparent: bytes | None, scheme: str) -> Trace | None:
    """Return the trace of a request, with a span if spans are on.

    Args:
        method: the request method; empty if it isn't known.
        traceparent: the header of the request.
        scheme: `http` or `https`.
    """
    parent = parse_traceparent(traceparent.decode("latin-1")) if traceparent else None
    if _tracer is None:
        return parent
    known = method if method in METHODS else "_OTHER"
    fields = {"http.request.method": known, "url.scheme": scheme}
    return begin(method if method in METHODS else "HTTP", "SERVER", parent, fields)


def end_request(
    trace: Trace | None, method: str, route: str | None, status: int, fields: Fields
) -> None:
    """End the span of a request, if it has one.

    Args:
        trace: what `begin_request` returned.
        method: the request method.
        route: the route, if one matched.
        status: the status of the response.
        fields: further attributes of the span.
    """
    if trace is None or trace.span is None:
        return
    if route and route != OTHER:
        trace.span.update_name(f"{method if method in METHODS else 'HTTP'} {route}")
        fields = {**fields, "http.route": route}
    fields = {**fields, "http.response.status_code": status}
    end(trace, fields, str(status) if status >= 500 else None)


def _present(fields: Fields) -> dict[str, str | int]:
    return {name: value for name, value in fields.items() if value is not None}
