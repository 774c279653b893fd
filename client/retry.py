"""`Retry`: which requests are sent again, how often and when."""

import random
import time
from dataclasses import dataclass

import httpx

# Statuses of a server or a proxy that can't answer now.
BUSY = {429, 502, 503, 504}
# Errors before anything of the request was sent.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Errors after which the server may have received the request.
MAYBE_SENT = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)
# What came of sending a request.
Answer = httpx.Response | httpx.RequestError
FIRST_DELAY, MAX_DELAY = 0.1, 5.0


@dataclass(frozen=True)
class Retry:
    """The bounds of the attempts of one request, and of the time that they and the delays take.

    A request is sent again if the server couldn't be reached, the connection broke, or the response
    was 429, 502, 503 or 504, after a delay that doubles each time, and that `Retry-After` may
    prolong. Once its connection stood, a request is only repeated if this has no other effect: if
    it only reads, has an idempotency key, or sets what it set before. `Retry(attempts=1)` repeats
    none.
    """

    attempts: int = 8
    seconds: float = 60.0


class Attempts:
    """The attempts of one request."""

    def __init__(self, retry: Retry, *, repeatable: bool) -> None:
        self._retry = retry
        self._repeatable = repeatable
        self._made = 0
        self._deadline = time.monotonic() + retry.seconds

    def delay(self, answer: Answer) -> float | None:
        """Return the seconds after which to send again; `None` if the answer is final."""
        self._made += 1
        if self._made >= self._retry.attempts or not self._may_change(answer):
            return None
        delay = min(MAX_DELAY, FIRST_DELAY * 2 ** (self._made - 1)) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        if isinstance(answer, httpx.Response):
            after = answer.headers.get("Retry-After", "")
            delay = max(delay, float(after) if after.isdecimal() else 0)
        return delay if time.monotonic() + delay < self._deadline else None

    def _may_change(self, answer: Answer) -> bool:
        if isinstance(answer, NOT_SENT):
            return True
        if isinstance(answer, httpx.Response):
            return self._repeatable and answer.status_code in BUSY
        return self._repeatable and isinstance(answer, MAYBE_SENT)
