"""Create the database schema, and add to it what the schema of an older release lacks."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, inspect
from sqlalchemy.schema import CreateColumn

from streetlight.model.registry.file_lock import file_lock
from streetlight.service.store.engine import ordered_write_transaction
from streetlight.service.store.tables import (
    PARTIAL_INDEXES,
    REPLACED_INDEXES,
    metadata,
    prediction_log,
)


def create_schema(engine: Engine, data_dir: Path, on_create: Callable[[Connection], None]) -> None:
    """Create the tables if they are missing, and call `on_create` to insert the first rows.

    All of it happens in one transaction, so a crash leaves a complete schema or none. Any number of
    processes may call this function at the same time: one of them creates the schema. Tables,
    columns and indexes that a database of an older release lacks are added, and the indexes that
    others replace are dropped.

    Raises:
        LockedError, DBAPIError: another process holds a lock for too long, or the database fails.
    """
    # The file lock excludes the processes on this host before they connect. The lock of the
    # transaction also excludes those on other hosts that share the database.
    with file_lock(data_dir / ".schema.lock"), ordered_write_transaction(engine) as connection:
        is_new = not inspect(connection).has_table("idempotency")
        _create_missing(connection, metadata)
        for name, (table, definition) in PARTIAL_INDEXES.items():
            if not inspect(connection).has_index(table, name):
                connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} {definition}")
        for name in REPLACED_INDEXES:
            connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
        if is_new:
            on_create(connection)


def create_prediction_log(engine: Engine, data_dir: Path) -> None:
    """Create the table of the prediction log, or add what it lacks; see `create_schema`."""
    with file_lock(data_dir / ".schema.lock"), ordered_write_transaction(engine) as connection:
        _create_missing(connection, prediction_log)


def _create_missing(connection: Connection, metadata: MetaData) -> None:
    _add_missing_columns(connection, metadata)
    metadata.create_all(connection)
    for table in metadata.tables.values():
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _add_missing_columns(connection: Connection, metadata: MetaData) -> None:
    inspector = inspect(connection)
    for table in metadata.tables.values():
        if not inspector.has_table(table.name):
            continue
        existing = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in existing:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
