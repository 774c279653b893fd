"""Tests of the outbox: several senders find each event once, and one of them makes each attempt."""

import json
import threading
from typing import Any

import pytest
from sqlalchemy import update

from streetlight.service.learning import queue
from streetlight.service.learning.gate import Verdict
from streetlight.service.learning.job import JobSpec
from streetlight.service.learning.lease import MAX_ATTEMPTS, acquire_lease
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import jobs, webhook_deliveries, webhook_position
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.webhook import outbox
from streetlight.service.webhook.events import ACCURACY_FALLEN, JOB_ENDED, VERSION_PROMOTED
from streetlight.service.webhook.outbox import (
    DeliveredError,
    DeliveryNotFoundError,
    begin_attempt,
    end_attempt,
    page,
    retry,
    store_events,
)
from streetlight.service.wiring import Services
from tests.service.webhook.conftest import deliveries, go_live, new_events, observe


def submit(services: Services) -> int:
    return queue.submit(services.engine, JobSpec(DEFAULT_RECIPE), "a-request").id


def change(services: Services, table: Any, number: int, **values: object) -> None:
    with write_transaction(services.engine) as connection:
        connection.execute(update(table).where(table.c.id == number).values(**values))


def test_what_happened_before_the_first_look_is_not_reported(services: Services) -> None:
    assert deliveries(services) == []
    assert store_events(services) == []


def test_each_end_of_a_job_is_an_event(services: Services) -> None:
    succeeded, rejected, failed, cancelled, lost, waiting = (submit(services) for _ in range(6))
    verdict = Verdict(True, False, [], 1, 1.0, 1.0)
    refusal = Verdict(False, False, ["less accurate"], 1, 0.5, 1.0)
    for number, promoted, result in ((succeeded, True, verdict), (rejected, False, refusal)):
        lease = acquire_lease(services.engine, "owner", 30)
        assert lease
        lease.mark_succeeded(number + 1, promoted, result)
    lease = acquire_lease(services.engine, "owner", 30)
    assert lease
    assert lease.job.id == failed
    lease.mark_failed("too much")
    queue.cancel(services.engine, cancelled)
    change(services, jobs, cancelled, key="ci")
    change(services, jobs, lost, state="running", attempt=MAX_ATTEMPTS + 1, lease_until=1.0)
    last = acquire_lease(services.engine, "owner", 30)  # ends the lost one, too
    assert last

    found = {event["job"]: event for event in new_events(services, JOB_ENDED)}
    assert found.keys() == {succeeded, rejected, failed, cancelled, lost}
    assert found[succeeded] == {
        "job": succeeded, "state": "succeeded", "version": 2, "promoted": True, "error": None,
        "trigger": "request", "request_id": "a-request", "key": None, "reasons": [],
    }  # fmt: skip
    assert (found[rejected]["promoted"], found[rejected]["reasons"]) == (False, ["less accurate"])
    assert (found[failed]["state"], found[failed]["error"]) == ("failed", "too much")
    assert (found[cancelled]["state"], found[cancelled]["key"]) == ("cancelled", "ci")
    assert "heartbeats" in str(found[lost]["error"])

    assert new_events(services, JOB_ENDED) == []
    last.mark_cancelled()
    assert [event["job"] for event in new_events(services, JOB_ENDED)] == [waiting]


def test_a_pruned_job_is_left_out(services: Services) -> None:
    number = submit(services)
    assert store_events(services) == []
    with write_transaction(services.engine) as connection:
        connection.execute(jobs.delete().where(jobs.c.id == number))
    assert store_events(services) == []


def test_each_change_of_the_live_version_is_an_event(services: Services) -> None:
    repository = services.repository
    go_live(services)
    repository.rollback("worse", "ops")
    repository.unload("maintenance")
    repository.reload("again")
    found = new_events(services, VERSION_PROMOTED)
    assert [(e["action"], e["version"], e["instead_of"], e["reason"], e["key"]) for e in found] == [
        ("promote", 2, 1, "a test", None),
        ("rollback", 1, 2, "worse", "ops"),
        ("unload", 1, 1, "maintenance", None),
        ("promote", 1, None, "again", None),
    ]
    repository.promote(1)
    assert store_events(services) == []


@pytest.mark.embedded
def test_a_promotion_log_that_was_shortened_starts_again_behind_it(services: Services) -> None:
    go_live(services)
    assert len(store_events(services)) == 1
    log = services.repository.folder / "promotions.jsonl"
    log.write_text(log.read_text().splitlines(keepends=True)[0])
    assert store_events(services) == []
    go_live(services)
    # Also what a crash kept out of the log.
    assert [e["action"] for e in new_events(services, VERSION_PROMOTED)] == ["recover", "promote"]


def test_the_accuracy_falls_once_until_it_has_recovered(services: Services) -> None:
    observe(services, "stop", 9)
    assert store_events(services) == []  # the window isn't full
    observe(services, "stop", 1)
    [event] = new_events(services, ACCURACY_FALLEN)
    assert event["interval"] == {"low": 0.0, "high": pytest.approx(0.2775, abs=1e-3)}
    assert (event["version"], event["accuracy"], event["observations"]) == (1, 0.0, 10)
    assert event["threshold"] == 0.9

    observe(services, "walk", 8)  # the end of the interval is above the threshold, not the ratio
    observe(services, "stop", 8)
    assert store_events(services) == []
    observe(services, "walk", 10)
    assert store_events(services) == []
    observe(services, "stop", 10)
    assert len(new_events(services, ACCURACY_FALLEN)) == 1

    go_live(services)
    assert len(new_events(services, VERSION_PROMOTED)) == 1
    observe(services, "stop", 10)
    [event] = new_events(services, ACCURACY_FALLEN)
    assert event["version"] == 2
    services.repository.unload()
    assert len(new_events(services, VERSION_PROMOTED)) == 1


def test_an_event_of_long_ago_is_not_reported(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the webhook had been off since."""
    go_live(services)
    monkeypatch.setattr(outbox, "RETENTION", -60)
    assert store_events(services) == []
    monkeypatch.undo()
    assert store_events(services) == []


def test_an_event_that_is_found_again_has_the_same_id(services: Services) -> None:
    """As after a failover that lost the commit of the first time."""
    queue.cancel(services.engine, submit(services))
    with services.engine.connect() as connection:
        before = connection.execute(webhook_position.select()).one()
    go_live(services)
    store_events(services)
    found = [(it.webhook_id, it.payload) for it in deliveries(services)]
    assert len(found) == 2
    with write_transaction(services.engine) as connection:
        connection.execute(webhook_deliveries.delete())
        connection.execute(webhook_position.update().values(position=before.position))
    store_events(services)
    assert [(it.webhook_id, it.payload) for it in deliveries(services)] == found


def test_of_many_that_look_one_finds_each_event(services: Services) -> None:
    for _ in range(3):
        go_live(services)
        queue.cancel(services.engine, submit(services))
    errors: list[Exception] = []

    def look() -> None:
        try:
            store_events(services)
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = deliveries(services)
    assert sorted(it.id for it in found) == [1, 2, 3, 4, 5, 6]
    assert len({it.webhook_id for it in found}) == 6
    assert sorted(it.payload["type"] for it in found) == [JOB_ENDED] * 3 + [VERSION_PROMOTED] * 3


def test_one_of_many_makes_an_attempt(services: Services) -> None:
    go_live(services)
    store_events(services)
    first = begin_attempt(services.engine)
    assert first
    assert (first.id, first.number) == (1, 1)
    assert begin_attempt(services.engine) is None
    # Its sender is gone, or hangs for longer than the lease.
    change(services, webhook_deliveries, 1, next_attempt_at=1.0)
    second = begin_attempt(services.engine)
    assert second
    assert (second.number, second.webhook_id) == (2, first.webhook_id)
    end_attempt(services.engine, first, 500, "late", None)
    assert deliveries(services)[0].state == "waiting"
    end_attempt(services.engine, second, 204, None, None)
    [delivery] = deliveries(services)
    assert (delivery.state, delivery.attempts, delivery.status) == ("delivered", 2, 204)
    assert delivery.next_attempt_at is None
    assert delivery.finished_at
    end_attempt(services.engine, first, 500, "late", 5.0)
    assert deliveries(services)[0] == delivery


def test_a_delivery_can_be_repeated_until_it_is_delivered(services: Services) -> None:
    go_live(services)
    store_events(services)
    with pytest.raises(DeliveryNotFoundError, match="no delivery 2"):
        retry(services.engine, 2)
    for ends in (None, 60.0):
        attempt = begin_attempt(services.engine)
        assert attempt
        end_attempt(services.engine, attempt, None, "no route", ends)
        assert begin_attempt(services.engine) is None
        assert deliveries(services)[0].state == ("waiting" if ends else "failed")
        assert retry(services.engine, 1).state == "waiting"
    attempt = begin_attempt(services.engine)
    assert attempt
    assert attempt.number == 3
    end_attempt(services.engine, attempt, 200, None, None)
    with pytest.raises(DeliveredError, match="it was delivered"):
        retry(services.engine, 1)


def test_old_deliveries_are_removed_and_their_ids_are_not_given_again(services: Services) -> None:
    for _ in range(2):
        go_live(services)
    assert store_events(services) == [1, 2]
    for number in (1, 2):
        change(services, webhook_deliveries, number, created_at=1.0)
    assert begin_attempt(services.engine) is None  # the webhook was off for long
    assert deliveries(services) == []
    with pytest.raises(DeliveryNotFoundError):
        retry(services.engine, 1)
    go_live(services)
    assert store_events(services) == [3]
    assert [it.id for it in deliveries(services)] == [3]


def test_pages_have_every_delivery_of_a_state(services: Services) -> None:
    for _ in range(5):
        go_live(services)
    store_events(services)
    change(services, webhook_deliveries, 2, state="failed")
    pages, after = [], 0
    while True:
        found, following = page(services.engine, "waiting", after, 2)
        pages.append([it.id for it in found])
        if following is None:
            break
        after = following
    assert pages == [[1, 3], [4, 5]]


def test_a_payload_is_compact_json_with_the_time(services: Services) -> None:
    go_live(services)
    store_events(services)
    attempt = begin_attempt(services.engine)
    assert attempt
    payload = json.loads(attempt.payload)
    assert list(payload) == ["type", "timestamp", "data"]
    assert payload["timestamp"].startswith("20")
    assert payload["timestamp"].endswith("+00:00")
    assert payload == deliveries(services)[0].payload
