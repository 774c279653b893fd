"""The trace that a request or a job belongs to, as the header `traceparent` names it (W3C).

It is in the log lines, and is stored with a job. `spans` makes spans of it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# A version other than 00 may have further parts.
_TRACEPARENT = re.compile(
    "(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of a request or a job.

    Attributes:
        id: the trace id.
        traceparent: the header that names the trace, and the span in it that is the parent of what
            this request or job causes.
        span: the span of the request or the job, if spans are made.
    """

    id: str
    traceparent: str
    span: "Span | None" = None

    def log_fields(self) -> dict[str, str]:
        """Return the fields of a log line."""
        if self.span is None:
            return {"trace_id": self.id}
        return {"trace_id": self.id, "span_id": self.traceparent[36:52]}


# The trace of what this thread does.
current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


@contextmanager
def in_trace(trace: Trace | None) -> Iterator[None]:
    """Let what this thread does in the block belong to `trace`."""
    token = current_trace.set(trace)
    try:
        yield
    finally:
        current_trace.reset(token)


def parse_traceparent(header: str | None) -> Trace | None:
    """Return the trace that the header names; `None` if it is missing or invalid."""
    match = _TRACEPARENT.fullmatch(header or "")
    return Trace(match[1], match[0]) if match else None
