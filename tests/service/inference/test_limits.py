"""Tests of the budget: the bounds on one request, and the turns of large ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from streetlight.service.inference import limits
from streetlight.service.inference.limits import (
    MAX_RUNNING,
    MAX_WAITING,
    Budget,
    ClientDisconnectedError,
    Cost,
    OverloadedError,
    TooExpensiveError,
)
from tests.service.conftest import until


@contextmanager
def full(budget: Budget) -> Iterator[None]:
    """Occupy all places of `budget`."""
    for _ in range(MAX_RUNNING):
        budget.acquire()
    try:
        yield
    finally:
        for _ in range(MAX_RUNNING):
            budget.release()


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        (
            Cost(multiplications=1001),
            r"needs 1001 multiplications, .* at most 1000; .* STREETLIGHT_MAX_MULTIPLICATIONS",
        ),
        (
            Cost(response_bytes=2001),
            r"could have 2001 bytes, expected at most 2000; .* STREETLIGHT_MAX_RESPONSE_BYTES",
        ),
    ],
)
def test_a_request_that_costs_too_much_is_refused(cost: Cost, message: str) -> None:
    budget = Budget(1000, 2000)

    budget.check(Cost(multiplications=1000, response_bytes=2000))
    with pytest.raises(TooExpensiveError, match=message):
        budget.check(cost)


def test_large_requests_take_turns() -> None:
    budget, done = Budget(0, 0), threading.Semaphore(0)

    def compute() -> None:
        budget.acquire()
        done.release()

    with full(budget):
        threads = [threading.Thread(target=compute, daemon=True) for _ in range(MAX_WAITING)]
        for thread in threads:
            thread.start()
        until(lambda: budget._waiting == MAX_WAITING)
        with pytest.raises(OverloadedError, match="8 large requests are waiting; try again later"):
            budget.acquire()
        assert not done.acquire(blocking=False)
    for _ in threads:
        assert done.acquire(timeout=10)
        budget.release()


def test_a_large_request_waits_for_a_bounded_time() -> None:
    budget, refused = Budget(0, 0), pytest.raises(OverloadedError, match=r"longer than 0\.1 s;")
    with full(budget), patch.object(limits, "WAIT_TIMEOUT", 0.1), refused:
        budget.acquire()
    assert budget._waiting == 0


def test_a_request_whose_client_leaves_waits_no_longer() -> None:
    def leave() -> None:
        raise ClientDisconnectedError

    budget = Budget(0, 0)
    with full(budget), pytest.raises(ClientDisconnectedError):
        budget.acquire(leave)
    assert budget._waiting == 0
