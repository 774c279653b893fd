"""Create the database schema."""

import fcntl
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from streetlight.service.store.engine import ordered_write_transaction
from streetlight.service.store.tables import metadata


def create_schema(engine: Engine, data_dir: Path, on_create: Callable[[Connection], None]) -> None:
    """Create the tables if they are missing, and call `on_create` to insert the first rows.

    Both happen in one transaction, so a crash leaves a complete schema or none. Any number of
    processes may call this function at the same time: one of them creates the schema.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    # The file lock excludes the processes on this host before they connect. The lock of the
    # transaction also excludes those on other hosts that share the database.
    with (data_dir / ".schema.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with ordered_write_transaction(engine) as connection:
            if not inspect(connection).has_table("idempotency"):
                metadata.create_all(connection)
                on_create(connection)
