"""What the tests of the webhook share: services, a receiver, and a sender that a test drives."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streetlight.model.dataset import LAB, outcome_name
from streetlight.model.registry.manifest import Provenance
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.webhook import sender
from streetlight.service.webhook.outbox import Attempt, Delivery, page, store_events
from streetlight.service.wiring import Services
from tests.service.services import services_in, training
from tests.service.webhook.receiver import Receiver

KEYS = [b"0" * 24]


@pytest.fixture
def services(tmp_path: Path, database_url: str | None) -> Iterator[Services]:
    """Services whose events are reported, with version 1 live."""
    with services_in(tmp_path, database_url, retrain_below=0.9, retrain_window=10) as services:
        go_live(services)
        store_events(services)
        yield services


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that accepts everything."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def send(services: Services) -> Iterator[Callable[[str], Attempt | None]]:
    """What makes one attempt at a delivery to a URL, as the sender does."""
    with ExitStack() as stack:
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        yield lambda url: sender.send_next(services, sender.Receiver(url, KEYS, True), loop)


def go_live(services: Services, *weights: float) -> int:
    """Publish and promote a version, which by default decides walk if the first light is on."""
    result = training(*(weights or (1.0, 0.0, 0.0)))
    number = services.repository.publish(result, LAB, Provenance("test")).number
    services.repository.promote(number, "a test")
    return number


def observe(services: Services, outcome: str, count: int) -> None:
    """Record observations of a state for which `go_live`'s version decides walk."""
    rows = [NewObservation((1.0, 0.0, 1.0), outcome_name(outcome == "walk"))] * count
    record(services.engine, rows, services.repository.live(), "api")


def deliveries(services: Services) -> list[Delivery]:
    """Return all deliveries."""
    return page(services.engine, None, 0, 1000)[0]


def new_events(services: Services, kind: str) -> list[dict[str, object]]:
    """Find events, and return the data of the new ones, which have to be of one type."""
    ids = store_events(services)
    found = [it.payload for it in deliveries(services) if it.id in ids]
    assert {payload["type"] for payload in found} <= {kind}
    return [payload["data"] for payload in found]
