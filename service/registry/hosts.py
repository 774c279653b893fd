"""The hosts that share the database: which promotion each has applied, and when it was last heard.

Only PostgreSQL has more than one host. `follower` reports; `rows` has the promotions.
"""

import secrets
import socket
import time
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from sqlalchemy import Engine, text

from streetlight.model.registry.file_lock import file_lock
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.registry.rows import PromotionId
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.timestamp import Timestamp

# Seconds after its last report for which a host is expected to apply a promotion.
HEARD = 1.0
# Seconds after its last report for which a host is named if it hasn't applied a promotion.
NAMED = 300.0
# Seconds after its last report for which a host is listed.
LISTED = 24 * 3600.0
# Seconds that a promotion waits for the hosts.
WAIT_TIMEOUT = 2.0
POLL_INTERVAL = 0.02

_NOW = "extract(epoch FROM clock_timestamp())::float8"
# The commit doesn't wait for the disk or a standby: a report that is lost is soon followed by
# another one. Only the first one waits, with which a host joins that may then be cut off.
_REPORT = text(
    f"""
    WITH gone AS (DELETE FROM hosts WHERE seen_at < {_NOW} - {LISTED} AND name <> :name)
    INSERT INTO hosts AS known (name, promotion, promoted_at, applied_at, seen_at)
    VALUES (:name, :id, :at, {_NOW}, {_NOW})
    ON CONFLICT (name) DO UPDATE SET
        promotion = excluded.promotion,
        promoted_at = excluded.promoted_at,
        applied_at = CASE
            WHEN (known.promotion, known.promoted_at)
                IS NOT DISTINCT FROM (excluded.promotion, excluded.promoted_at)
            THEN known.applied_at ELSE excluded.applied_at END,
        seen_at = excluded.seen_at
    RETURNING set_config('synchronous_commit', CASE WHEN promotion IS NULL
        THEN current_setting('synchronous_commit') ELSE 'off' END, true)
    """  # noqa: S608 - constants
)
_LIST = text(
    f"""
    SELECT name, CASE WHEN action <> 'unload' THEN version END AS version, promotion,
        applied_at AS since, seen_at,
        id IS DISTINCT FROM (SELECT max(id) FROM promotions) AS behind,
        seen_at > {_NOW} - {HEARD} AS heard
    FROM hosts LEFT JOIN promotions ON (id, at) = (promotion, promoted_at)
    WHERE seen_at > {_NOW} - {LISTED} ORDER BY name
    """  # noqa: S608 - constants
)
_LATE = text(
    f"""
    SELECT name, seen_at > {_NOW} - {HEARD} AS heard FROM hosts
    WHERE seen_at > {_NOW} - {NAMED} AND NOT EXISTS (
        SELECT 1 FROM promotions
        WHERE (id, at) = (promotion, promoted_at) AND id >= :id
            AND EXISTS (SELECT 1 FROM promotions WHERE (id, at) = (:id, :at)))
    ORDER BY name
    """  # noqa: S608 - constants
)


@dataclass(frozen=True)
class Host:
    """A host that shares the database: the live version, and what it last reported.

    It has applied the `promotion` with this id `since` that time; it is `behind` if that isn't the
    last one, and `heard` if it was `seen_at` a time within the last second. With SQLite, where the
    host needn't apply anything, `promotion` and `since` are null.
    """

    name: str
    version: int | None
    promotion: int | None
    since: Timestamp | None
    seen_at: Timestamp
    behind: bool
    heard: bool


@dataclass(frozen=True)
class HostList:
    """One page of the hosts by name, and the name of the one that answers.

    Request the next page with `after` set to `next`, null on the last.
    """

    answered_by: str
    hosts: list[Host]
    next: str | None


def host_name(data_dir: Path) -> str:
    """Return the name of this host: its hostname and a random suffix, kept in the file `host`.

    A copy of the folder on another host gets another name.
    """
    hostname, file = socket.gethostname(), data_dir / "host"
    with file_lock(data_dir / ".host.lock"):
        name = file.read_text() if file.exists() else ""
        if name.rpartition("-")[0] != hostname:
            name = f"{hostname}-{secrets.token_hex(4)}"
            new = data_dir / ".host-new"
            new.write_text(name)
            new.replace(file)
    return name


def report(engine: Engine, name: str, applied: PromotionId | None) -> None:
    """Store that the host `name` has applied a promotion, and is heard; delete hosts long gone."""
    number, at = applied or (None, None)
    with write_transaction(engine) as connection:
        connection.execute(_REPORT, {"name": name, "id": number, "at": at})


def leave(engine: Engine, name: str) -> None:
    """Remove the host `name`, which stops."""
    with write_transaction(engine) as connection:
        connection.execute(text("DELETE FROM hosts WHERE name = :name"), {"name": name})


def list_hosts(engine: Engine) -> list[Host]:
    """Return the hosts that reported within the last day, by name."""
    with engine.connect() as connection:
        return [Host(**row) for row in connection.execute(_LIST).mappings()]


def known_hosts(engine: Engine, repository: ModelRepository) -> list[Host]:
    """Return the hosts that share the database; with SQLite, only this one."""
    if engine.dialect.name == "postgresql":
        return list_hosts(engine)
    name, live, now = socket.gethostname(), repository.live_number(), time.time()
    return [Host(name, live, None, None, now, behind=False, heard=True)]


def host_list(
    engine: Engine, repository: ModelRepository, data_dir: Path, after: str, limit: int
) -> HostList:
    """Return up to `limit` of the hosts that share the database, and the name of this one.

    The names of the hosts are greater than `after`.
    """
    hosts = known_hosts(engine, repository)
    name = host_name(data_dir) if engine.dialect.name == "postgresql" else hosts[0].name
    # The database may sort names in another order.
    rest = sorted((host for host in hosts if host.name > after), key=attrgetter("name"))
    page = rest[:limit]
    return HostList(name, page, page[-1].name if len(rest) > limit else None)


def wait_for_hosts(engine: Engine, promotion: PromotionId) -> list[str]:
    """Wait up to 2 s until the hosts have applied a promotion, or a later one.

    Return the names of those that haven't. A host that isn't heard isn't waited for, but named if
    it was heard within the last 5 minutes: its follower may have ended while its workers serve.
    """
    deadline = time.monotonic() + WAIT_TIMEOUT
    while True:
        with engine.connect() as connection:
            late = connection.execute(_LATE, promotion._asdict()).all()
        if not any(host.heard for host in late) or time.monotonic() > deadline:
            return [host.name for host in late]
        time.sleep(POLL_INTERVAL)
