"""How the schema comes to be."""

import fcntl
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from streetlight.service.store.engine import ordered_write_transaction
from streetlight.service.store.tables import metadata


def create_schema(engine: Engine, data_dir: Path, fill: Callable[[Connection], None]) -> None:
    """Create the tables where there are none, and fill them: once, and as one, however many ask."""
    data_dir.mkdir(parents=True, exist_ok=True)
    # A lock for this host, and one for those that share the database from elsewhere.
    with (data_dir / ".schema.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with ordered_write_transaction(engine) as connection:
            if not inspect(connection).has_table("idempotency"):
                metadata.create_all(connection)
                fill(connection)
