"""What a request may cost, and how much large work a worker does at the same time.

All routes have these bounds. `web.middleware.admission` applies them to the current request, and
`server.limits` bounds connections and the bytes in their buffers.
"""

import time
from collections.abc import Callable
from threading import Condition
from typing import NamedTuple

# Work up to these amounts is done at once: a few milliseconds, and a few MiB of memory.
SMALL_MULTIPLICATIONS = 2_000_000
SMALL_BYTES = 128 * 1024
# Large requests computed at the same time. Each takes at most a second and 256 MiB.
MAX_RUNNING = 1
# Large requests that wait, each in a thread; the others of `config.THREADS` stay free.
MAX_WAITING = 8
# Seconds that they wait, and between two checks that the client is still there.
WAIT_TIMEOUT = 10.0
CHECK_INTERVAL = 0.1

# The message of a `MemoryError`.
NO_MEMORY = "the server has too little memory for this request; send fewer rows, or try again later"


class TooExpensiveError(ValueError):
    """The request costs more than one request may; the message names the bound and the setting."""


class OverloadedError(Exception):
    """Too much large work is waiting."""


class ClientDisconnectedError(Exception):
    """The client has closed the connection, or its half of it, before the response was computed."""


class Cost(NamedTuple):
    """What a request costs at most, known before it is computed.

    Attributes:
        multiplications: the multiplications by weights, such as rows times weights.
        request_bytes: the size of the body; of a compressed one, after decompression.
        response_bytes: the size of the response.
    """

    multiplications: int = 0
    request_bytes: int = 0
    response_bytes: int = 0

    @property
    def is_large(self) -> bool:
        """Whether the work has to be admitted."""
        return (
            self.multiplications > SMALL_MULTIPLICATIONS
            or max(self.request_bytes, self.response_bytes) > SMALL_BYTES
        )


class Budget:
    """The bounds on one request, and the large requests that a worker computes. Threads share it.

    The size of a body is bounded by `max_body_bytes` where it is received.
    """

    def __init__(self, max_multiplications: int, max_response_bytes: int) -> None:
        self._max_multiplications = max_multiplications
        self._max_response_bytes = max_response_bytes
        self._changed = Condition()
        self._running = self._waiting = 0

    def check(self, cost: Cost) -> None:
        """Check that one request may cost so much.

        Raises:
            TooExpensiveError: it may not.
        """
        if cost.multiplications > self._max_multiplications:
            raise TooExpensiveError(
                f"the request needs {cost.multiplications} multiplications, "
                f"expected at most {self._max_multiplications}; use fewer rows or iterations, or "
                "raise the setting STREETLIGHT_MAX_MULTIPLICATIONS"
            )
        if cost.response_bytes > self._max_response_bytes:
            raise TooExpensiveError(
                f"the response could have {cost.response_bytes} bytes, expected at most "
                f"{self._max_response_bytes}; request less at once, or raise the setting "
                "STREETLIGHT_MAX_RESPONSE_BYTES"
            )

    def acquire(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait until a large request may be computed; `release` must follow.

        `check` is called again and again, and may raise an error.

        Raises:
            OverloadedError: too many others wait, or this one has waited too long.
        """
        with self._changed:
            if self._waiting >= MAX_WAITING:
                raise OverloadedError(f"{MAX_WAITING} large requests are waiting; try again later")
            self._waiting += 1
            try:
                deadline = time.monotonic() + WAIT_TIMEOUT
                while self._running >= MAX_RUNNING:
                    if time.monotonic() > deadline:
                        raise OverloadedError(
                            f"other large requests took longer than {WAIT_TIMEOUT:g} s; "
                            "try again later"
                        )
                    check()
                    self._changed.wait(CHECK_INTERVAL)
                self._running += 1
            finally:
                self._waiting -= 1

    def release(self) -> None:
        """Let the next large request be computed."""
        with self._changed:
            self._running -= 1
            self._changed.notify()
