"""The outbox: the table of deliveries, in which each event waits until the receiver has it.

An event and the position behind it are stored in one transaction, so that no event is lost, or
stored twice. `events` finds them, and `sender` sends them.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, insert, select, update

from streetlight.service.store.engine import (
    WRITE_LOCK,
    clock,
    ordered_write_transaction,
    write_transaction,
)
from streetlight.service.store.tables import webhook_deliveries as table
from streetlight.service.store.tables import webhook_position
from streetlight.service.store.timestamp import Timestamp
from streetlight.service.webhook.events import WEBHOOK_TEST, Event, Position, find, present
from streetlight.service.wiring import Services

# The key of the advisory lock of the transactions that store events.
WEBHOOK_LOCK = WRITE_LOCK + 3
# Seconds for which a delivery is on record. An event that is older when it is found isn't reported:
# the webhook was off.
RETENTION = 7 * 24 * 3600.0
# Seconds after which an attempt that has no result is repeated: longer than an attempt takes.
LEASE = 30.0

State = Literal["waiting", "delivered", "failed"]


class WebhookOffError(Exception):
    """The server reports no events."""


class DeliveryNotFoundError(LookupError):
    """There is no delivery with the given id."""


class DeliveredError(ValueError):
    """The delivery can't be repeated, because the receiver has confirmed it."""


@dataclass(frozen=True)
class Delivery:
    """The delivery of an event to the receiver.

    Attributes:
        id: the number of the delivery.
        webhook_id: the id that the receiver gets, the same in each attempt.
        payload: the body of the request.
        state: `waiting` for the next attempt, `delivered`, or `failed` after the last attempt.
        created_at: when the event was found.
        attempts: the number of attempts.
        next_attempt_at: when the next attempt is due; null if there is none.
        finished_at: when the delivery ended, if it has.
        status: the status of the last response; null if none came.
        error: why the last attempt failed.
    """

    id: int
    webhook_id: str
    payload: dict[str, Any]
    state: State
    created_at: Timestamp
    attempts: int
    next_attempt_at: Timestamp | None
    finished_at: Timestamp | None
    status: int | None
    error: str | None


class Attempt(NamedTuple):
    """One attempt at a delivery; the first has the number 1."""

    id: int
    number: int
    webhook_id: str
    type: str
    payload: str


def store_events(services: Services, *more: Event) -> list[int]:
    """Store the events that have happened since the last call, and `more`; return their ids.

    The first call finds none: what happened before isn't reported.
    """
    engine = services.engine
    # Most calls find nothing. A read doesn't block other processes; the write lock would.
    if not more:
        with engine.connect() as connection:
            position = _position(connection)
            if position and find(services, connection, position)[1] == position:
                return []
    with ordered_write_transaction(engine, WEBHOOK_LOCK) as connection:
        position = _position(connection)
        if position:
            found, after = find(services, connection, position)
        else:
            found, after = [], present(services, connection)
        ids = _insert(connection, [*found, *more])
        text = json.dumps(asdict(after))
        if position:
            connection.execute(update(webhook_position).values(position=text))
        else:
            connection.execute(insert(webhook_position).values(id=1, position=text))
    return ids


def store_test(services: Services) -> Delivery:
    """Store an event by which an operator tests the receiver, and return its delivery.

    Raises:
        WebhookOffError: the settings name no receiver.
    """
    if services.settings.webhook_url is None:
        raise WebhookOffError(
            "the server has no webhook; set STREETLIGHT_WEBHOOK_URL and STREETLIGHT_WEBHOOK_SECRET "
            "and restart it"
        )
    number = store_events(services, Event(WEBHOOK_TEST, time.time(), {}))[-1]
    return page(services.engine, None, number - 1, 1)[0][0]


def _position(connection: Connection) -> Position | None:
    text = connection.execute(select(webhook_position.c.position)).scalar()
    if text is None:
        return None
    fields = json.loads(text)
    return Position(**fields | {"unfinished": tuple(fields["unfinished"])})


def _insert(connection: Connection, events: Sequence[Event]) -> list[int]:
    now = connection.execute(select(clock(connection.engine))).scalar_one()
    first = 1 + (connection.execute(select(func.max(table.c.id))).scalar() or 0)
    rows: list[dict[str, Any]] = [
        {
            "id": number,
            "webhook_id": event.webhook_id,
            "type": event.type,
            "payload": event.payload(),
            "created_at": now,
            "state": "waiting",
            "next_attempt_at": now,
        }
        for number, event in enumerate((e for e in events if e.at > now - RETENTION), first)
    ]
    if rows:
        connection.execute(insert(table), rows)
        # Not the last one: its id would be given again.
        old = (table.c.created_at < now - RETENTION) & (table.c.id < first)
        connection.execute(delete(table).where(old))
    return [row["id"] for row in rows]


def begin_attempt(engine: Engine) -> Attempt | None:
    """Return an attempt at the delivery that has been due for longest, if one is due.

    No other call gets the same delivery before `LEASE` is over, and then with another number.
    """
    now = clock(engine)
    due = (table.c.state == "waiting") & (table.c.next_attempt_at <= now)
    due &= _on_record(engine)  # the webhook may have been off
    oldest = (
        select(table.c.id)
        .where(due)
        .order_by(table.c.next_attempt_at, table.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    with engine.connect() as connection:
        if connection.execute(select(table.c.id).where(due).limit(1)).first() is None:
            return None
    with write_transaction(engine) as connection:
        row = connection.execute(
            update(table)
            .where(table.c.id == oldest)
            .values(attempts=table.c.attempts + 1, next_attempt_at=now + LEASE)
            .returning(
                table.c.id, table.c.attempts, table.c.webhook_id, table.c.type, table.c.payload
            )
        ).first()
    return Attempt(*row) if row else None


def end_attempt(
    engine: Engine, attempt: Attempt, status: int | None, error: str | None, delay: float | None
) -> None:
    """Store the result of an attempt, unless another one has begun meanwhile.

    Args:
        engine: the engine of the database.
        attempt: the attempt.
        status: the status of the response, if one came.
        error: why it failed; `None` if the receiver has confirmed the event.
        delay: seconds until the next attempt, if there is to be one.
    """
    values: dict[str, Any] = {"status": status, "error": error}
    if delay is not None:
        values["next_attempt_at"] = clock(engine) + delay
    else:
        state: State = "failed" if error else "delivered"
        values |= {"state": state, "next_attempt_at": None, "finished_at": clock(engine)}
    with write_transaction(engine) as connection:
        connection.execute(
            update(table)
            .where(
                table.c.id == attempt.id,
                table.c.attempts == attempt.number,
                table.c.state == "waiting",
            )
            .values(values)
        )


def retry(engine: Engine, number: int) -> Delivery:
    """Let a delivery be tried at once, and return it.

    One that has failed is tried once more.

    Raises:
        DeliveryNotFoundError: no delivery on record has that id.
        DeliveredError: the receiver has confirmed it.
    """
    found = (table.c.id == number) & _on_record(engine)
    with write_transaction(engine) as connection:
        changed = connection.execute(
            update(table)
            .where(found, table.c.state != "delivered")
            .values(state="waiting", next_attempt_at=clock(engine), finished_at=None)
        )
        row = connection.execute(select(table).where(found)).first()
    if row is None:
        raise DeliveryNotFoundError(f"no delivery {number}")
    if not changed.rowcount:
        raise DeliveredError(f"delivery {number} can't be repeated: it was delivered")
    return _delivery(row)


def page(
    engine: Engine, state: State | None, after: int, limit: int
) -> tuple[list[Delivery], int | None]:
    """Return the deliveries with ids above `after`, and the `after` of the next page, if any."""
    query = select(table).where(table.c.id > after, _on_record(engine))
    query = query.order_by(table.c.id).limit(limit + 1)
    if state:
        query = query.where(table.c.state == state)
    with engine.connect() as connection:
        found = [_delivery(row) for row in connection.execute(query)]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _on_record(engine: Engine) -> ColumnElement[bool]:
    """Return the condition of the deliveries that are on record; the next event removes others."""
    return table.c.created_at > clock(engine) - RETENTION


def _delivery(row: Row[Any]) -> Delivery:
    fields = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**fields | {"payload": json.loads(row.payload)})
