"""`JobEvents`: what a client knows of a job that it follows, from events or from polling.

The events are server-sent events (WHATWG HTML, 9.2): lines `event: job`, `id: …`, `data: …`, an
empty line after each event, and comments.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import replace

from streetlight.client.results import JobState
from streetlight.client.retry import Retry

# Seconds between two attempts to follow a job.
POLL_SECONDS = 1.0
# Seconds of silence after which the connection is lost: the server sends something every 10 s.
SILENCE = 25.0


class JobEvents:
    """The newest state of a job.

    The methods raise `TimeoutError` when `timeout` seconds are over.
    """

    def __init__(self, job: JobState, timeout: float | None) -> None:
        self.job = job
        self._rest = ""
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def ended(self) -> bool:
        """Return whether no further state follows."""
        return self.job.ended

    def silence(self) -> float:
        """Return for how many seconds to wait for the next part of the stream."""
        return min(SILENCE, self._left())

    def bounded(self, retry: Retry) -> Retry:
        """Return `retry` with no more seconds than are left."""
        return replace(retry, seconds=min(retry.seconds, self._left()))

    def _left(self) -> float:
        if self._deadline is None:
            return math.inf
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"job {self.job.id} is {self.job.state} after {self._timeout} s")
        return left

    def feed(self, text: str) -> Iterator[JobState]:
        """Yield the new states in the next part of the stream.

        An event ends with an empty line: one that the end of the connection cuts is left out.
        """
        *events, self._rest = (self._rest + text).split("\n\n")
        for event in events:
            _, _, data = event.partition("\ndata: ")
            # The event `end` has no state: the stream ends, and the job is read again if need be.
            if data not in ("", "{}") and (state := self._new(JobState.model_validate_json(data))):
                yield state
        if not self.ended():
            self.silence()

    def polled(self, job: JobState) -> JobState | None:
        """Return a state that was read after the end of a stream, if it is new."""
        self._rest = ""
        if not job.ended:
            self.silence()
        return self._new(job)

    def _new(self, job: JobState) -> JobState | None:
        if job.revision <= self.job.revision and not job.ended:
            return None
        self.job = job
        return job
