"""Export everything that is stored into an archive, as it is at one moment."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

from sqlalchemy import Connection, String, Table, func, inspect, select, text

from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.archive.archive_writer import ArchiveWriter
from streetlight.service.archive.manifest import Manifest
from streetlight.service.archive.state import (
    ARCHIVED,
    allow_pauses,
    has_ledger,
    is_shared,
    prediction_log_engine,
    promotion_rows,
)
from streetlight.service.registry import rows
from streetlight.service.store.engine import snapshot
from streetlight.service.store.schema import SchemaError
from streetlight.service.store.tables import jobs, observations, predictions, promotions
from streetlight.service.wiring import Services

# Rows that are read at a time. An observation may have many thousand lights, a job of release 0.1
# megabytes.
ROWS = 100
LARGE_ROWS = 10


class _Versions(NamedTuple):
    """The versions: their numbers, the promotions as rows, and how to read a file."""

    numbers: Sequence[int]
    promotions: Sequence[Sequence[Any]]
    newest: int
    read: Callable[[int], bytes]


def write_archive(services: Services, file: IO[bytes]) -> Manifest:
    """Write an archive to `file` while other processes go on, and return its manifest.

    The tables of the database must be those of this release.

    Raises:
        LockedError: another process promotes, prunes or exports for too long.
        VersionDamagedError: an entry of the promotion log has no time.
        SchemaError: hosts share the database, and it has no versions.
        OSError: the archive can't be written, or a version was removed meanwhile.
    """
    engine = services.engine
    with ArchiveWriter(file) as writer, ExitStack() as stack:
        if is_shared(engine):
            connection = stack.enter_context(snapshot(engine))
            ledger, found = _shared_versions(connection)
            log = connection if inspect(connection).has_table(predictions.name) else None
        else:
            # `prune` would remove files that are to be read.
            stack.enter_context(services.repository.lock("prune"))
            log = _prediction_log(services, stack)
            ledger, found = _versions_in_folder(services, stack)
        for number in found.numbers:
            writer.add_version(number, found.read(number))
        if ledger is not None:
            for table in ARCHIVED:
                writer.add_table(table.name, *_content(ledger, table))
        columns = [column.name for column in promotions.columns]
        writer.add_table(promotions.name, columns, [found.promotions])
        last_prediction = 0 if log is None else _add_predictions(log, writer)
        return writer.complete(found.newest, last_prediction)


def _shared_versions(connection: Connection) -> tuple[Connection | None, _Versions]:
    allow_pauses(connection)
    numbers = list(rows.read_digests(connection))
    if not numbers:
        raise SchemaError(
            "the database has no versions yet: start the service first, on the host whose folder "
            "has them"
        )
    log = connection.execute(select(promotions).order_by(promotions.c.id)).all()
    newest = max([0, *numbers, *(row.version for row in log)])
    return connection, _Versions(
        numbers, log, newest, lambda number: rows.read_file(connection, number) or b""
    )


def _versions_in_folder(
    services: Services, stack: ExitStack
) -> tuple[Connection | None, _Versions]:
    """Return a snapshot of the database, if there is one, and the versions of the folder.

    A job ends, and an observation names a version, only after its promotion. While the lock of the
    promotions is held, and with the versions read first, the folder therefore has each version that
    the database names, and the database each job and observation that a version names.
    """
    repository, ledger = services.repository, None
    with repository.promoting():
        numbers, log = repository.versions(), _log(repository)
        if has_ledger(services.engine):
            ledger = stack.enter_context(snapshot(services.engine))
            ledger.execute(select(func.max(jobs.c.id))).scalar()  # the snapshot begins with a query
        newest = repository.newest_number()
    entries = [tuple(row[c.name] for c in promotions.columns) for row in promotion_rows(log)]
    return ledger, _Versions(
        numbers, entries, newest, lambda number: repository.path(number).read_bytes()
    )


def _log(repository: ModelRepository) -> list[Promotion]:
    """Return the promotion log, whose last entry says which version is live.

    It doesn't if somebody has removed the link.
    """
    log = repository.promotions()
    if log and log[-1].action != "unload" and repository.live_number() != log[-1].version:
        now, was = datetime.now(UTC).isoformat(timespec="milliseconds"), log[-1].version
        log.append(Promotion(now, "unload", was, was, "not live, but in the promotion log"))
    return log


def _content(
    connection: Connection, table: Table
) -> tuple[list[str], Iterator[Sequence[Sequence[Any]]]]:
    """Return the columns of a table, and its rows in lists, in the order of the primary key."""
    # A lease is a trainer's of this service, and ends with the export.
    columns = [c * 0 if c is jobs.c.lease_until else c for c in table.columns]
    # Both databases then sort texts by their bytes.
    binary = "C" if connection.dialect.name == "postgresql" else "BINARY"
    keys = [c.collate(binary) if isinstance(c.type, String) else c for c in table.primary_key]
    options = {"yield_per": ROWS if table in (observations, predictions) else LARGE_ROWS}
    found = connection.execute(select(*columns).order_by(*keys), execution_options=options)
    return [column.name for column in table.columns], found.partitions()


def _prediction_log(services: Services, stack: ExitStack) -> Connection | None:
    """Return a snapshot of the prediction log in SQLite, if there is one.

    It begins before the versions are listed: the archive has each version that a prediction names.
    """
    if (engine := stack.enter_context(prediction_log_engine(services))) is None:
        return None
    log = stack.enter_context(snapshot(engine))
    log.execute(select(func.max(predictions.c.id))).scalar()
    return log


def _add_predictions(log: Connection, writer: ArchiveWriter) -> int:
    """Add the prediction log, and return the highest id that it has given."""
    writer.add_table(predictions.name, *_content(log, predictions))
    if is_shared(log.engine):
        sequence = "SELECT last_value - (NOT is_called)::int FROM predictions_id_seq"
    else:
        sequence = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'predictions'"
    return int(log.execute(text(sequence)).scalar() or 0)
