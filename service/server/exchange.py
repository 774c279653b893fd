"""A request that the application answers, and its response, from the first part to the last.

While the client doesn't read, no part is computed, and no thread waits. `application_call` computes
the parts in a thread, `connection` sends them.
"""

import time
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Protocol

from streetlight.service.inference.tensors import Buffer
from streetlight.service.observability.logs import LOG_FIELDS, log_fields
from streetlight.service.observability.trace_context import Trace, current_trace
from streetlight.service.server.application_call import ApplicationCall
from streetlight.service.server.error_responses import INTERNAL_ERROR
from streetlight.service.server.limits import LimitedConnection
from streetlight.service.server.request_parser import ReceivedRequest, RequestRejected
from streetlight.service.server.worker_state import WorkerState
from streetlight.service.web.event_stream import FOLLOWED, Followed
from streetlight.service.web.middleware.admission import IS_DISCONNECTED

# Seconds that a request may wait for one of the threads that may use the database.
DATABASE_TIMEOUT = 10.0
DATABASE_BUSY = "the database is too slow: other requests wait for it; send the request again later"
# The status, as nginx logs it, of a request whose client has left before it was answered.
CLIENT_CLOSED_REQUEST = 499
WITHOUT_BODY = ("1", "204", "304")


class ResponseConnection(LimitedConnection, Protocol):
    """What an exchange needs of the connection."""

    paused: bool
    ended: bool

    def write(self, parts: Sequence[Buffer]) -> None:
        """Send a part of a response."""

    def response_ended(self, keep_alive: bool) -> None:
        """Go on with the next request, or end the connection."""

    def reject(
        self, rejection: RequestRejected, headers: dict[bytes, bytes], trace: Trace | None
    ) -> None:
        """Send an error to the request with `headers`, and end the connection."""


class Exchange:
    """A request of `connection` and its response; the event loop calls the public methods."""

    def __init__(
        self,
        worker: WorkerState,
        connection: ResponseConnection,
        request: ReceivedRequest,
        environ: dict[str, Any],
        started: float,
        *,
        trace: Trace | None,
    ) -> None:
        self._connection = connection
        self._worker = worker
        self._request = request
        self._started = started
        self._trace = trace
        self._client: str = environ["REMOTE_ADDR"]
        self._uses_database = self._worker.application.uses_database(environ["PATH_INFO"])
        self._call = ApplicationCall(self._worker.application, environ)
        self._deadline = 0.0
        self._status = 0
        self._log_fields: dict[str, Any] = {}
        environ[IS_DISCONNECTED] = lambda: connection.ended
        self._computing = self._chunked = self._bodiless = self._abandoned = False
        self._keep_alive = request.keep_alive
        self._sent = 0
        self._compute()

    def resume(self) -> None:
        """Compute the next part, since the client has read the previous one."""
        if not self._computing and not self.is_event_stream:
            self._compute()

    def abandon(self) -> None:
        """Free what the request holds, since the connection has ended."""
        self._abandoned = True
        self._worker.event_streams.remove(self)
        self._log(self._status or CLIENT_CLOSED_REQUEST)
        if self._worker.threads.withdraw(self._run):
            self._computing = False
            self._worker.limits.release_large(self._connection)
        if not self._computing:
            self._worker.threads.submit(self._close, uses_database=False)

    def check_deadline(self, now: float) -> None:
        """Reject a request that has waited too long for a thread that may use the database."""
        if now > self._deadline and self._worker.threads.withdraw(self._run):
            self._close()
            self._fail(RequestRejected(503, DATABASE_BUSY))

    @property
    def is_event_stream(self) -> bool:
        """Whether the response is a stream of events."""
        return self in self._worker.event_streams

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly to be sent more."""
        return self._connection.paused

    def send(self, part: list[Buffer], *, last: bool) -> None:
        """Send a part of the body."""
        size = sum(map(len, part))
        if self._bodiless:
            part, size = [], 0
        elif self._chunked:
            if size:
                part = [b"%x\r\n" % size, *part, b"\r\n"]
            if last:
                part = [*part, b"0\r\n\r\n"]
        self._sent += size
        if part:
            self._connection.write(part)
        if last:
            self._end()

    def _compute(self) -> None:
        self._computing = True
        self._deadline = time.monotonic() + DATABASE_TIMEOUT
        self._worker.threads.submit(self._run, uses_database=self._uses_database)

    def _run(self) -> None:
        """Compute a part; a thread calls this."""
        current_trace.set(self._trace)
        call_soon = self._worker.loop.call_soon_threadsafe
        if self._abandoned:
            self._close()
            call_soon(self._worker.limits.release_large, self._connection)
            return
        try:
            part, last = self._call.compute()
            followed = self._call.environ.get(FOLLOWED)
            self._log_fields = self._call.environ.get(LOG_FIELDS, {})
            if last:
                self._close()
        except Exception:
            self._worker.log.exception("the application failed on %.300r", self._request.target)
            self._close()
            call_soon(self._fail, RequestRejected(500, INTERNAL_ERROR))
            return
        call_soon(self._computed, part, last, followed)

    def _fail(self, rejection: RequestRejected) -> None:
        """Send an error, or end the connection if a part of another response was sent."""
        self._computing = False
        self._worker.limits.release_large(self._connection)
        if self._status:
            self._connection.abort()  # calls `abandon`
        elif not self._abandoned:
            self._connection.reject(rejection, self._request.headers, self._trace)

    def _close(self) -> None:
        """Free what the application holds; a thread calls this."""
        current_trace.set(self._trace)
        try:
            self._call.close()
        except Exception:
            self._worker.log.exception("could not close a response")
        self._request.body = b""

    def _computed(self, part: list[Buffer], last: bool, followed: Followed | None) -> None:
        try:
            self._deliver(part, last, followed)
        except Exception:
            self._worker.log.exception(
                "could not send the response to %.300r",
                self._request.target,
                extra=log_fields(**(self._trace.log_fields() if self._trace else {})),
            )
            self._connection.abort()

    def _deliver(self, part: list[Buffer], last: bool, followed: Followed | None) -> None:
        self._computing = False
        self._worker.limits.release_large(self._connection)
        if self._abandoned:
            if not last:
                self._worker.threads.submit(self._close, uses_database=False)
            return
        if not self._status:
            self._send_head(complete=last and not followed, size=sum(map(len, part)))
        self.send(part, last=last and not followed)
        if followed:
            self._worker.event_streams.add(self, *followed)
        elif not (last or self.paused):
            self._compute()

    def _send_head(self, *, complete: bool, size: int) -> None:
        status, headers = self._call.status, self._call.headers
        self._status = int(status[:3])
        self._bodiless = self._request.method == "HEAD" or status.startswith(WITHOUT_BODY)
        # Werkzeug adds a date to responses that can be conditional; the head has one.
        lines = [f"{name}: {value}\r\n" for name, value in headers if name != "Date"]
        if not self._bodiless and not any(name.lower() == "content-length" for name, _ in headers):
            if complete:
                lines.append(f"Content-Length: {size}\r\n")
            elif self._request.http_version == "1.1":
                self._chunked = True
                lines.append("Transfer-Encoding: chunked\r\n")
            else:
                self._keep_alive = False  # the end of the connection is the end of the body
        self._keep_alive = self._keep_alive and not self._worker.stopping
        head = self._worker.heads.get(status.encode(), self._keep_alive)
        self._connection.write([head, "".join(lines).encode("latin-1"), b"\r\n"])

    def _end(self) -> None:
        self._log(self._status)
        # The client of an event stream that the worker ends has to connect to another worker.
        leave = self.is_event_stream and self._worker.stopping
        self._connection.response_ended(self._keep_alive and not leave)

    def _log(self, status: int) -> None:
        self._worker.log.record(
            self._log_fields,
            client=self._client,
            method=self._request.method,
            uri=self._request.target,
            status=status,
            sent=self._sent,
            duration_ms=(perf_counter() - self._started) * 1000,
            trace=self._trace,
        )
