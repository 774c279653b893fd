"""Tests of the webhook as a receiver sees it, with real processes that may be killed."""

import asyncio
import base64
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from standardwebhooks import Webhook

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Provenance
from streetlight.service.config.settings import Settings
from streetlight.service.learning import queue
from streetlight.service.learning.job import JobSpec
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import webhook_deliveries, webhook_position
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.webhook import sender
from streetlight.service.webhook.events import JOB_ENDED, VERSION_PROMOTED
from streetlight.service.webhook.outbox import store_events
from streetlight.service.webhook.post import PostError, post
from streetlight.service.webhook.signature import signed_headers
from streetlight.service.wiring import Services, build_services
from tests.client import invoke
from tests.databases import outage
from tests.server import FORKS, Server, environment, free_port
from tests.service.conftest import ROUNDS, Site, until
from tests.service.services import services_in, training
from tests.service.webhook.receiver import SECRET, Receiver

pytestmark = pytest.mark.process

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


def site(data_dir: Path, database_url: str | None, receiver: Receiver, **settings: object) -> Site:
    """Return a site whose sender sends to `receiver`."""
    webhook = {"webhook_url": receiver.url, "webhook_secret": SECRET, "webhook_private": True}
    return Site(data_dir, database_url, **webhook | settings)


def wait_until_watched(site: Site) -> None:
    """Wait until what happens is reported."""

    def is_watched() -> object:
        with site.services.engine.connect() as connection:
            return connection.execute(select(webhook_position)).first()

    until(is_watched)


def make_due(services: Services) -> None:
    """Let the time of each next attempt come."""
    with write_transaction(services.engine) as connection:
        waiting = webhook_deliveries.c.state == "waiting"
        connection.execute(update(webhook_deliveries).where(waiting).values(next_attempt_at=1.0))


def waiting(services: Services) -> int:
    """Return how many deliveries wait."""
    query = select(func.count()).where(webhook_deliveries.c.state == "waiting")
    with services.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def test_the_events_of_a_service_reach_the_receiver(
    tmp_path: Path, database_url: str | None, receiver: Receiver
) -> None:
    with site(tmp_path, database_url, receiver) as server:
        wait_until_watched(server)
        server.trainer()
        job = server.retrain(promote="always", iterations=60)
        [ended] = receiver.wait_for(JOB_ENDED)
        assert (ended["job"], ended["state"], ended["promoted"]) == (job, "succeeded", True)
        [promoted] = receiver.wait_for(VERSION_PROMOTED)
        assert (promoted["version"], promoted["instead_of"]) == (ended["version"], 1)
        assert promoted["reason"].startswith(f"job {job}")
        # Also by a command of another process, and by another protocol.
        settings = {name: value for name, value in server.settings.items() if name != "port"}
        assert invoke("rollback", "--reason", "worse", **settings).returncode == 0
        server.post("/v2/repository/models/streetlight/unload")
        events = receiver.wait_for(VERSION_PROMOTED, 3)
        assert [(event["action"], event["version"]) for event in events] == [
            ("promote", ended["version"]), ("rollback", 1), ("unload", 1)
        ]  # fmt: skip
        assert events[1]["reason"] == "worse"
        for request in receiver.requests:
            assert Webhook(SECRET).verify(request.body, request.headers) == request.payload

        test = server.expect(202, "POST", "/webhook/test")
        assert receiver.wait_for("webhook.test") == [{}]
        assert receiver.ids.count(test["webhook_id"]) == 1
        page = server.get("/webhook/deliveries?limit=3")
        rest = server.get(f"/webhook/deliveries?after={page['next']}")
        assert rest["next"] is None
        found = [*page["deliveries"], *rest["deliveries"]]
        assert [it["webhook_id"] for it in found] == sorted(
            receiver.ids, key=[it["webhook_id"] for it in found].index
        )
        error = server.expect(409, "POST", f"/webhook/deliveries/{found[0]['id']}/retry")["error"]
        assert "it was delivered" in error
        server.expect(404, "POST", "/webhook/deliveries/99/retry")


def test_a_private_address_is_refused_on_record(tmp_path: Path, receiver: Receiver) -> None:
    with site(tmp_path, None, receiver, webhook_private=False) as server:
        wait_until_watched(server)
        number = server.expect(202, "POST", "/webhook/test")["id"]

        def tried(attempts: int) -> Any:
            [delivery] = server.get("/webhook/deliveries?state=waiting")["deliveries"]
            return delivery["attempts"] == attempts and delivery["error"] and delivery

        delivery = until(lambda: tried(1))
        assert delivery["error"] == (
            "127.0.0.1 has the address 127.0.0.1, which isn't one of the internet; to send into "
            "private networks, set STREETLIGHT_WEBHOOK_PRIVATE=true"
        )
        assert delivery["status"] is None
        server.expect(200, "POST", f"/webhook/deliveries/{number}/retry")
        assert server.get("/readyz")
        metrics = server.request("GET", "/metrics").data.decode()
        assert 'streetlight_webhook_deliveries{state="waiting"} 1.0' in metrics
        until(lambda: tried(2))
        assert SECRET not in server.log.read_text()
    assert receiver.requests == []


def test_without_the_settings_there_is_no_sender(server: Server) -> None:
    error = server.expect(409, "POST", "/webhook/test")["error"]
    assert "set STREETLIGHT_WEBHOOK_URL and STREETLIGHT_WEBHOOK_SECRET" in error
    assert server.get("/webhook/deliveries") == {"deliveries": [], "next": None}


def test_a_sender_that_is_killed_is_replaced(
    tmp_path: Path, database_url: str | None, receiver: Receiver
) -> None:
    with site(tmp_path, database_url, receiver) as server:
        wait_until_watched(server)
        children = set(map(int, server._children())) - set(server.workers())
        for pid in children:  # with PostgreSQL, also the follower
            os.kill(pid, signal.SIGKILL)
        server.expect(202, "POST", "/webhook/test")
        assert receiver.wait_for("webhook.test") == [{}]


def send_forever(data_dir: Path, database_url: str | None, url: str) -> None:
    """Run a sender, in a process of its own."""
    settings = Settings(data_dir=data_dir, database_url=database_url)
    sender.POLL_INTERVAL = 0.01
    sender.run(build_services(settings), sender.Receiver(url, [KEY], True))


@pytest.fixture
def started() -> Iterator[Callable[..., int]]:
    """What starts a sender, and returns the id of its process."""
    with ExitStack() as stack:

        def start(*arguments: object) -> int:
            process = FORKS.Process(target=send_forever, args=arguments)
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
            assert process.pid
            return process.pid

        yield start


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killing_senders_loses_no_event_and_gives_none_two_ids(
    tmp_path: Path, database_url: str | None, started: Callable[..., int], rounds: int
) -> None:
    dice = random.Random(rounds)  # noqa: S311 - no secret
    with (
        services_in(tmp_path, database_url, start_empty=True) as services,
        Receiver(lambda _: dice.choice([204, 204, 500])) as receiver,
    ):
        repository = services.repository
        for _ in range(2):
            repository.publish(training(1.0, 0.0, 0.0), LAB, Provenance("test"))
        repository.promote(1)
        store_events(services)
        before, cancelled = len(repository.promotions()), []
        for number in range(4 * rounds):
            # With PostgreSQL, as if two hosts had a sender.
            pids = [
                started(tmp_path, database_url, receiver.url)
                for _ in range(2 if services.shared else 1)
            ]
            repository.promote(1 + (number + 1) % 2, f"change {number}")
            cancelled.append(queue.submit(services.engine, JobSpec(DEFAULT_RECIPE), "r").id)
            time.sleep(dice.uniform(0, 0.1))
            queue.cancel(services.engine, cancelled[-1])
            time.sleep(dice.uniform(0, 0.3))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        started(tmp_path, database_url, receiver.url)

        def drained() -> bool:
            make_due(services)
            return not waiting(services) and not store_events(services)

        until(drained)
        repository.follow()
        promotions = repository.promotions()[before:]

    assert sorted(e["job"] for e in receiver.events(JOB_ENDED)) == cancelled
    reasons = [e["reason"] for e in receiver.events(VERSION_PROMOTED)]
    assert sorted(reasons) == sorted(promotion.reason for promotion in promotions)
    assert len(reasons) == 4 * rounds
    payloads: dict[str, bytes] = {}
    for request in receiver.requests:
        Webhook(SECRET).verify(request.body, request.headers)
        assert payloads.setdefault(request.headers["webhook-id"], request.body) == request.body


def test_the_receiver_of_the_page_accepts_what_is_signed(tmp_path: Path) -> None:
    """And refuses a request that somebody has changed, or recorded long ago."""
    page = Path(__file__).parents[3] / "docs" / "webhook.md"
    [code] = re.findall(r"<<'END'\n(.*?)END\n", page.read_text(encoding="utf-8"), re.DOTALL)
    url, log = f"http://127.0.0.1:{(port := free_port())}/", tmp_path / "log"
    variables = environment(webhook_secret=SECRET)
    with log.open("w") as file:
        receiver = subprocess.Popen(
            [sys.executable, "-c", code.replace("8001", str(port))],
            env=variables,
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    def answer(body: bytes, at: float, sent: bytes | None = None) -> int:
        headers = signed_headers([b"0" * 32, KEY], "msg_1", int(at), body)
        return asyncio.run(post(url, headers, sent or body, private=True)).status

    def listens() -> bool:
        with suppress(PostError):
            return answer(b"{}", time.time()) == 204
        return False

    try:
        until(listens)
        assert answer(b"{}", time.time(), b"[]") == 401
        assert answer(b"{}", time.time() - 3600) == 401
    finally:
        receiver.kill()
        receiver.wait()
    assert "msg_1 {}" in log.read_text()


def test_events_wait_while_the_database_is_away(
    tmp_path: Path, shared_url: str, receiver: Receiver
) -> None:
    with site(tmp_path, shared_url, receiver) as server:
        wait_until_watched(server)
        with outage(shared_url):
            server.wait_for_log("trying again every 1 s")
        until(lambda: server.request("POST", "/webhook/test").status == 202)
        assert receiver.wait_for("webhook.test") == [{}]
