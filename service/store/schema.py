"""Create the database schema."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from streetlight.model.registry.file_lock import file_lock
from streetlight.service.store.engine import ordered_write_transaction
from streetlight.service.store.tables import idempotency, metadata


def create_schema(engine: Engine, data_dir: Path, on_create: Callable[[Connection], None]) -> None:
    """Create the tables if they are missing, and call `on_create` to insert the first rows.

    Both happen in one transaction, so a crash leaves a complete schema or none. Any number of
    processes may call this function at the same time: one of them creates the schema. Indexes that
    tables of an older version lack are added.

    Raises:
        LockedError, DBAPIError: another process holds a lock for too long, or the database fails.
    """
    # The file lock excludes the processes on this host before they connect. The lock of the
    # transaction also excludes those on other hosts that share the database.
    with file_lock(data_dir / ".schema.lock"), ordered_write_transaction(engine) as connection:
        if not inspect(connection).has_table("idempotency"):
            metadata.create_all(connection)
            on_create(connection)
        # Indexes that an older version of Streetlight didn't create.
        for index in idempotency.indexes:
            index.create(connection, checkfirst=True)
