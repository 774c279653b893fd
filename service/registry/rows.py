"""The rows of versions and promotions: the statements that read and insert them.

The lock under which rows are inserted, and the copy of the rows in a folder, are in
`shared_repository`.
"""

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, union_all

from streetlight.model.registry.promotion_log import Action, Promotion
from streetlight.service.store.engine import clock
from streetlight.service.store.tables import jobs, observations, promotions, versions

# Hexadecimal digits of a file's SHA-256 in its name.
DIGEST_LENGTH = 16


class PromotionId(NamedTuple):
    """Identifies a promotion: after a failover that lost commits, an `id` can come again."""

    id: int
    at: float


class State(NamedTuple):
    """What the database says.

    Attributes:
        promotion: the last promotion; `None` before the first.
        live: the number of the live version; `None` if none is live.
        sha256: the digest of its file; `None` if there is none.
        newest: the highest number of a version; 0 if there is none.
        newest_sha256: the digest of its file: after a failover, a number can come again.
    """

    promotion: PromotionId | None
    live: int | None
    sha256: str | None
    newest: int
    newest_sha256: str | None

    @property
    def live_file(self) -> str | None:
        """The name of the live version's file; `None` if none is live."""
        return None if self.live is None else file_name(self.live, self.sha256 or "")


def file_name(number: int, sha256: str) -> str:
    """Return the name of a version's file in the folder of a host."""
    return f"{number}-{sha256[:DIGEST_LENGTH]}.npz"


_last = select(promotions).order_by(promotions.c.id.desc()).limit(1).subquery()
_newest = (
    select(versions.c.number, versions.c.sha256).order_by(versions.c.number.desc()).limit(1)
).subquery()
# One row, even without a promotion or a version.
_STATE = select(
    select(_newest.c.number).scalar_subquery().label("newest"),
    select(_newest.c.sha256).scalar_subquery().label("newest_sha256"),
    *(select(column).scalar_subquery().label(column.name) for column in _last.c),
    select(versions.c.sha256)
    .where(versions.c.number == select(_last.c.version).scalar_subquery())
    .scalar_subquery()
    .label("sha256"),
)


def read_state(connection: Connection) -> State:
    """Return the last promotion, the live version, and the highest number."""
    row = connection.execute(_STATE).one()
    promotion = None if row.id is None else PromotionId(row.id, row.at)
    is_live = promotion is not None and row.action != "unload"
    return State(
        promotion,
        row.version if is_live else None,
        row.sha256 if is_live else None,
        row.newest or 0,
        row.newest_sha256,
    )


def read_digests(connection: Connection) -> dict[int, str]:
    """Return the digest of each version's file, by number, ascending."""
    query = select(versions.c.number, versions.c.sha256).order_by(versions.c.number)
    return {row.number: row.sha256 for row in connection.execute(query)}


def read_file(connection: Connection, number: int) -> bytes | None:
    """Return the content of a version's file; `None` if there is no such version."""
    query = select(versions.c.file).where(versions.c.number == number)
    return connection.execute(query).scalar()


def has_version(connection: Connection, number: int) -> bool:
    """Return whether there is a version with this number."""
    query = select(versions.c.number).where(versions.c.number == number)
    return connection.execute(query).first() is not None


def number_of_job(connection: Connection, job: int) -> int | None:
    """Return the number of the version that a job published; `None` if it has published none."""
    return connection.execute(select(versions.c.number).where(versions.c.job == job)).scalar()


def read_jobs(connection: Connection) -> tuple[dict[int, int], set[int | None]]:
    """Return the job that published each version, and the jobs that haven't published any."""
    found = connection.execute(select(jobs.c.id, jobs.c.version)).all()
    return (
        {job.version: job.id for job in found if job.version is not None},
        {job.id for job in found if job.version is None},
    )


def newest_named(connection: Connection) -> int | None:
    """Return the highest number that a job or an observation names; `None` if none does."""
    named = union_all(select(jobs.c.version), select(observations.c.version)).subquery()
    return connection.execute(select(func.max(named.c.version))).scalar()


def read_promotions(connection: Connection, after: int = 0) -> list[Promotion]:
    """Return the promotions whose ids are above `after`, by default all, oldest first."""
    query = select(promotions).where(promotions.c.id > after).order_by(promotions.c.id)
    return [
        Promotion(_iso_format(row.at), row.action, row.version, row.instead_of, row.reason, row.key)
        for row in connection.execute(query)
    ]


def read_promotion_ids(connection: Connection) -> list[int]:
    """Return the ids of all promotions, ascending."""
    return list(connection.execute(select(promotions.c.id).order_by(promotions.c.id)).scalars())


def insert_version(connection: Connection, number: int, job: int | None, file: bytes) -> None:
    """Insert a version; the caller holds the lock of the versions."""
    sha256 = hashlib.sha256(file).hexdigest()
    connection.execute(insert(versions).values(number=number, job=job, sha256=sha256, file=file))


def insert_promotion(
    connection: Connection,
    action: Action,
    version: int,
    instead_of: int | None,
    reason: str,
    *,
    key: str | None = None,
) -> Promotion:
    """Insert a promotion, and return it; the caller holds the lock of the versions."""
    at = connection.execute(select(clock(connection.engine))).scalar_one()
    promotion = Promotion(_iso_format(at), action, version, instead_of, reason, key)
    insert_promotions(connection, [promotion], at)
    return promotion


def insert_promotions(
    connection: Connection, found: list[Promotion], at: float | None = None
) -> None:
    """Insert promotions behind the others, at their own times unless `at` is given."""
    last = read_state(connection).promotion
    first = 1 + (last.id if last else 0)
    rows = [
        {**vars(promotion), "id": number, "at": at or _seconds(promotion.at)}
        for number, promotion in enumerate(found, first)
    ]
    if rows:
        connection.execute(insert(promotions), rows)


def _iso_format(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _seconds(iso_format: str) -> float:
    return datetime.fromisoformat(iso_format).timestamp()
