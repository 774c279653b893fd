"""Admission of the current request's work: its bounds, and its turn if it is large.

The bounds are in `inference.limits`. A large request holds its place until its response is encoded,
or until it calls `release`, for example before it waits for the database.
"""

from flask import Flask, g, request

from streetlight.service.inference.limits import ClientDisconnectedError, Cost
from streetlight.service.web.application import services

# The key, in the WSGI environment, of a function that returns whether the client has left.
IS_DISCONNECTED = "streetlight.is_disconnected"


def init_app(app: Flask) -> None:
    """Release the place of every large request of `app`."""
    app.teardown_request(_release)


def admit(*, multiplications: int = 0, request_bytes: int = 0, response_bytes: int = 0) -> None:
    """Check what the current request costs, before it is computed; wait if it is large.

    A request may call this as often as it knows more; it waits once.

    Raises:
        TooExpensiveError: one request may not cost so much.
        OverloadedError: too many other large requests wait.
        ClientDisconnectedError: the client has left meanwhile.
    """
    cost, budget = Cost(multiplications, request_bytes, response_bytes), services().budget
    budget.check(cost)
    if cost.is_large and not g.get("admitted"):
        budget.acquire(check_connected)
        g.admitted = True


def check_connected() -> None:
    """Check that the client of the current request waits for the response; large work calls this.

    Raises:
        ClientDisconnectedError: it doesn't.
    """
    is_disconnected = request.environ.get(IS_DISCONNECTED)
    if is_disconnected is not None and is_disconnected():
        raise ClientDisconnectedError("the client closed the connection before the response")


def release() -> None:
    """Give up the place of the current request, which only waits for others from now on."""
    if g.pop("admitted", False):
        services().budget.release()


def _release(_error: BaseException | None) -> None:
    release()
