"""Insert the rows of an archive into the tables of a new database."""

import io
import json
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select, text, update

from streetlight.model.registry.version import VersionDamagedError, read_manifest
from streetlight.service.archive.archive_reader import ArchiveReader
from streetlight.service.archive.state import ARCHIVED
from streetlight.service.store.tables import jobs, predictions, promotions, versions


def insert_ledger(connection: Connection, archive: ArchiveReader) -> None:
    """Insert the observations, the jobs and what belongs to them."""
    for table in ARCHIVED:
        _insert(connection, table, archive)


def insert_versions(connection: Connection, archive: ArchiveReader) -> None:
    """Insert the promotions, and the versions with the jobs that made them.

    A folder may have two versions of a job whose trainer was suspended. The job's row names its
    version; as long as it names none, a trainer that continues the job takes the newest.
    """
    _insert(connection, promotions, archive)
    numbers: dict[int, int] = {}
    for number, sha256 in archive.manifest.versions.items():
        content = archive.version(number)
        connection.execute(insert(versions).values(number=number, sha256=sha256, file=content))
        try:
            manifest = read_manifest(Path(f"{number}.npz"), io.BytesIO(content))
        except VersionDamagedError:
            continue
        if manifest.job is not None:
            numbers[manifest.job] = number
    for job, number in connection.execute(select(jobs.c.id, jobs.c.version)).all():
        if number in archive.manifest.versions:
            numbers[job] = number
    for job, number in numbers.items():
        connection.execute(update(versions).where(versions.c.number == number).values(job=job))
    last_job = connection.execute(select(func.max(jobs.c.id))).scalar() or 0
    _set_last_id(connection, jobs, last_job)


def insert_predictions(connection: Connection, archive: ArchiveReader) -> None:
    """Insert the prediction log, whose next row gets an id that none has had."""
    _insert(connection, predictions, archive)
    _set_last_id(connection, predictions, archive.manifest.last_prediction)


def _insert(connection: Connection, table: Table, archive: ArchiveReader) -> None:
    if table.name in archive.manifest.tables:
        for rows in archive.batches(table.name):
            if connection.dialect.name == "postgresql":
                # One statement: executing one for each row takes three times as long.
                names = ", ".join(f'"{name}"' for name in rows[0])
                source = f"json_populate_recordset(NULL::{table.name}, CAST(:rows AS json))"
                statement = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {source}"  # noqa: S608 - no values
                connection.execute(text(statement), {"rows": json.dumps(rows)})
            else:
                connection.execute(insert(table), rows)


def _set_last_id(connection: Connection, table: Table, last: int) -> None:
    """Let the next row get the id after `last`."""
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, "id")
        connection.execute(select(func.setval(sequence, last + 1, False)))
    else:
        values = {"name": table.name, "last": last}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        statement = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
        connection.execute(statement, values)
