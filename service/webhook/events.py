"""The events that are reported, and how they are found in what is on record.

The jobs, the promotions and the observations are on record already, so an event can't be lost: this
module compares them with the position up to which events have been found. `outbox` stores the
position and the events in one transaction.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from streetlight.model.registry.promotion_log import Promotion
from streetlight.service.ledger.accuracy import recent_accuracy
from streetlight.service.registry import rows
from streetlight.service.store.tables import UNFINISHED, jobs
from streetlight.service.store.timestamp import iso_format
from streetlight.service.wiring import Services

JOB_ENDED = "job.ended"
VERSION_PROMOTED = "version.promoted"
ACCURACY_FALLEN = "accuracy.fallen"
WEBHOOK_TEST = "webhook.test"


@dataclass(frozen=True)
class Event:
    """An event: its type, its time in seconds since 1970, and what is reported of it."""

    type: str
    at: float
    data: dict[str, Any]

    @property
    def webhook_id(self) -> str:
        """The id that the receiver gets.

        It comes from the event, because a failover of PostgreSQL may lose the commit that stored
        it: an event that is found again has the id with which it may have been sent.
        """
        digest = hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()
        return f"msg_{digest[:32]}"

    def payload(self) -> str:
        """Return the body of the request."""
        return json.dumps({"type": self.type, "timestamp": iso_format(self.at), "data": self.data})


@dataclass(frozen=True)
class Position:
    """Up to where events have been found.

    Attributes:
        job: the highest id of a job.
        unfinished: the jobs up to it that had not ended.
        promotion: the number of promotions.
        inaccurate: the live version if its accuracy has fallen, and has not recovered.
    """

    job: int
    unfinished: tuple[int, ...]
    promotion: int
    inaccurate: int | None = None


def present(services: Services, connection: Connection) -> Position:
    """Return the position behind everything that has happened."""
    newest, unfinished = _newest_and_unfinished(connection)
    return Position(newest, tuple(sorted(unfinished)), _promotions(services, connection, 0)[1])


def find(
    services: Services, connection: Connection, position: Position
) -> tuple[list[Event], Position]:
    """Return the events after `position`, and the position behind them."""
    newest, unfinished = _newest_and_unfinished(connection)
    watched = {*position.unfinished, *range(position.job + 1, newest + 1)}
    promotions, count = _promotions(services, connection, position.promotion)
    fallen, inaccurate = _accuracy(services, connection, position.inaccurate)
    events = [
        *(_promotion_event(promotion) for promotion in promotions),
        *_ended_jobs(connection, sorted(watched - unfinished)),
        *fallen,
    ]
    return events, Position(
        newest,
        tuple(sorted(number for number in unfinished if number <= newest)),
        # There are fewer after a failover that lost commits.
        min(position.promotion, count) + len(promotions),
        inaccurate,
    )


def _newest_and_unfinished(connection: Connection) -> tuple[int, set[int]]:
    # In this order: a job that is submitted in between is left to the next look.
    newest = connection.execute(select(func.max(jobs.c.id))).scalar() or 0
    query = select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED))
    return newest, set(connection.execute(query).scalars())


def _ended_jobs(connection: Connection, numbers: Iterable[int]) -> Iterator[Event]:
    names = ("state", "version", "promoted", "error", "trigger", "request_id", "key")
    columns = [jobs.c[name] for name in names]
    for number in numbers:
        query = select(*columns, jobs.c.verdict, jobs.c.finished_at).where(jobs.c.id == number)
        row = connection.execute(query).first()
        if row is not None:  # it wasn't pruned
            reasons = json.loads(row.verdict)["reasons"] if row.verdict else []
            data = {name: getattr(row, name) for name in names}
            yield Event(JOB_ENDED, row.finished_at, {"job": number, **data, "reasons": reasons})


def _promotions(
    services: Services, connection: Connection, after: int
) -> tuple[list[Promotion], int]:
    """Return the promotions after the first `after`, and the number of all."""
    if not services.shared:
        log = services.repository.promotions()
        return log[after:], len(log)
    last = rows.read_state(connection).promotion
    return rows.read_promotions(connection, after), last.id if last else 0


def _promotion_event(promotion: Promotion) -> Event:
    data = asdict(promotion)
    try:
        at = datetime.fromisoformat(data.pop("at")).timestamp()
    except ValueError:  # somebody has changed the promotion log
        at = time.time()
    return Event(VERSION_PROMOTED, at, data)


def _accuracy(
    services: Services, connection: Connection, inaccurate: int | None
) -> tuple[list[Event], int | None]:
    """Return an event if the accuracy of the live version has fallen, and the version if it has.

    It has recovered when its value is no longer below the threshold, not already when the end of
    its interval is: it would fall and recover with each observation.
    """
    threshold, window = services.settings.retrain_below, services.settings.retrain_window
    if services.shared:  # the folder of another host may lag behind
        live = rows.read_state(connection).live
    else:
        live = services.repository.live_number()
    if threshold is None or live is None:
        return [], None
    recent = recent_accuracy(services.engine, live, window)
    if live == inaccurate:
        return [], live if recent.ratio is not None and recent.ratio < threshold else None
    if not recent.is_below(threshold, window):
        return [], None
    data = {
        "version": live,
        "accuracy": recent.ratio,
        "interval": recent.interval._asdict(),
        "observations": recent.observations,
        "threshold": threshold,
    }
    return [Event(ACCURACY_FALLEN, time.time(), data)], live
