"""The sender: a process that finds events, and sends each until the receiver has confirmed it.

It may be killed at any moment: an event is then found, or sent again with the same id, by the next
sender. Each host has one; `outbox` lets one of them make an attempt.
"""

import asyncio
import logging
import time
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.store.engine import describe
from streetlight.service.store.schema import SchemaError
from streetlight.service.webhook.outbox import (
    Attempt,
    begin_attempt,
    end_attempt,
    store_events,
)
from streetlight.service.webhook.post import PostError, post
from streetlight.service.webhook.signature import signed_headers
from streetlight.service.wiring import Services, initialize

# Seconds between two looks for events.
POLL_INTERVAL = 1.0
# Seconds from a failed attempt to the next one: ten attempts within a day.
DELAYS = (5.0, 60.0, 300.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 36000.0)
GONE = 410

log = logging.getLogger(__name__)


class Receiver(NamedTuple):
    """The URL of the receiver, the keys of its secrets, and whether its address may be private."""

    url: str
    keys: list[bytes]
    private: bool


def run(services: Services, receiver: Receiver) -> None:
    """Find and send events until the process ends."""
    # Not `asyncio.run`, which would wait for a name server that hangs.
    loop = asyncio.new_event_loop()
    log.info("the sender of the webhook waits for events")
    failing = False
    while True:
        try:
            if not services.ledger_ready.is_set():
                initialize(services)
            if send_next(services, receiver, loop):
                continue
            failing = False
        except SchemaError:
            raise  # the main process starts another sender later
        except (DBAPIError, LockedError, OSError, VersionDamagedError) as error:
            if not failing:
                log.warning("%s; trying again every %g s", describe(error), POLL_INTERVAL)
            failing = True
        time.sleep(POLL_INTERVAL)


def send_next(
    services: Services, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> Attempt | None:
    """Store new events, and make an attempt at a delivery, which is returned, if one is due."""
    store_events(services)
    attempt = begin_attempt(services.engine)
    if attempt is None:
        return None
    status, retry_after, error = loop.run_until_complete(_post(receiver, attempt))
    delay = None
    if error and status != GONE and attempt.number <= len(DELAYS):
        delay = max(DELAYS[attempt.number - 1], min(retry_after, DELAYS[-1]))
    end_attempt(services.engine, attempt, status, error, delay)
    name = f"webhook delivery {attempt.id} ({attempt.type}), attempt {attempt.number}"
    if error is None:
        log.info("%s: delivered", name)
    else:
        then = "it was the last one" if delay is None else f"the next one follows in {delay:g} s"
        log.warning("%s: failed, %s: %s", name, then, error)
    return attempt


async def _post(receiver: Receiver, attempt: Attempt) -> tuple[int | None, float, str | None]:
    """Return the status, the seconds to wait, and why the attempt failed, if it did."""
    body = attempt.payload.encode()
    headers = signed_headers(receiver.keys, attempt.webhook_id, int(time.time()), body)
    try:
        reply = await post(receiver.url, headers, body, private=receiver.private)
    except PostError as error:
        return None, 0.0, str(error)
    if reply.status < 300:
        return reply.status, 0.0, None
    problem = f"the receiver answered {reply.status}"
    if reply.status < 400:
        problem += ", and redirects aren't followed: set STREETLIGHT_WEBHOOK_URL to the new address"
    elif reply.excerpt:
        # PostgreSQL stores no NUL.
        excerpt = reply.excerpt.decode(errors="replace").replace("\0", "\ufffd")
        problem += f": {excerpt}"
    return reply.status, reply.retry_after, problem
