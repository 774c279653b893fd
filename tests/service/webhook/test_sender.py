"""Tests of the sender: what an attempt makes of each response, and when the next one follows."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.tables import webhook_deliveries
from streetlight.service.webhook.outbox import Attempt
from streetlight.service.webhook.sender import DELAYS
from streetlight.service.wiring import Services
from tests.service.webhook.conftest import deliveries, go_live
from tests.service.webhook.receiver import RawReceiver, Receiver

Send = Callable[[str], Attempt | None]


def wait_seconds(services: Services) -> float:
    """Return the seconds until the next attempt at the only delivery."""
    with services.engine.connect() as connection:
        due = webhook_deliveries.c.next_attempt_at - clock(services.engine)
        return float(connection.execute(select(due)).scalar_one())


def make_due(services: Services) -> None:
    """Let the time of the next attempt come."""
    with write_transaction(services.engine) as connection:
        connection.execute(update(webhook_deliveries).values(next_attempt_at=1.0))


def test_a_confirmed_event_is_delivered(services: Services, send: Send, receiver: Receiver) -> None:
    assert send(receiver.url) is None
    go_live(services)
    assert send(receiver.url)
    assert send(receiver.url) is None
    [delivery] = deliveries(services)
    assert (delivery.state, delivery.status, delivery.error) == ("delivered", 204, None)
    assert receiver.ids == [delivery.webhook_id]
    assert receiver.requests[0].payload == delivery.payload


def test_ten_attempts_within_a_day_have_the_same_id(services: Services, send: Send) -> None:
    go_live(services)
    with Receiver(lambda _: 503) as receiver:
        for delay in DELAYS:
            assert send(receiver.url)
            assert send(receiver.url) is None
            assert wait_seconds(services) == pytest.approx(delay, abs=5)
            make_due(services)
        assert send(receiver.url)
        make_due(services)
        assert send(receiver.url) is None
    [delivery] = deliveries(services)
    assert (delivery.state, delivery.attempts, delivery.status) == ("failed", 10, 503)
    assert delivery.error == "the receiver answered 503: so it is answered"
    assert receiver.ids == [delivery.webhook_id] * 10
    assert sum(DELAYS) == pytest.approx(24 * 3600, rel=0.02)


def test_a_receiver_that_is_gone_gets_no_second_request(services: Services, send: Send) -> None:
    go_live(services)
    with Receiver(lambda _: 410) as receiver:
        assert send(receiver.url)
    assert deliveries(services)[0].state == "failed"


@pytest.mark.parametrize(("retry_after", "delay"), [(1, 5), (120, 120), (10**8, 36000)])
def test_the_receiver_may_delay_the_next_attempt(
    services: Services, send: Send, retry_after: int, delay: int
) -> None:
    go_live(services)
    with Receiver(lambda _: (429, {"Retry-After": str(retry_after)})) as receiver:
        assert send(receiver.url)
    assert wait_seconds(services) == pytest.approx(delay, abs=5)


def test_a_redirect_names_the_setting(services: Services, send: Send) -> None:
    go_live(services)
    with Receiver(lambda _: (308, {"Location": "/other"})) as receiver:
        assert send(receiver.url)
    assert deliveries(services)[0].error == (
        "the receiver answered 308, and redirects aren't followed: set STREETLIGHT_WEBHOOK_URL to "
        "the new address"
    )


def test_what_a_receiver_sends_can_be_stored(services: Services, send: Send) -> None:
    go_live(services)
    response = b"HTTP/1.1 500 X\r\nContent-Length: 300\r\n\r\n" + b"\0\xff\r\n" + b"a" * 296
    with RawReceiver(lambda connection: connection.sendall(response)) as receiver:
        assert send(receiver.url)
    [delivery] = deliveries(services)
    assert delivery.error == f"the receiver answered 500: \ufffd\ufffd\r\n{'a' * 196}"


def test_without_a_response_the_reason_is_stored(services: Services, send: Send) -> None:
    go_live(services)
    with RawReceiver(lambda _: None) as receiver:
        pass
    assert send(receiver.url)
    [delivery] = deliveries(services)
    assert (delivery.state, delivery.status) == ("waiting", None)
    assert str(delivery.error).startswith("can't reach the receiver: ")
