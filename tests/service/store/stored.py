"""The databases in `schemas/`, as SQL: one for each revision of the ledger and each database.

The code that had the revision made them, and they are never made again. Revisions 0001 and 0002 are
from the time before databases had a revision. `predictions` is the second file of SQLite.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, MetaData, inspect, make_url, select

from streetlight.service.config.settings import Settings
from streetlight.service.store.engine import open_engine

FOLDER = Path(__file__).with_name("schemas")
REVISIONS = sorted({path.name[:4] for path in FOLDER.iterdir()})


def load(revision: str, data_dir: Path, database_url: str | None) -> Engine:
    """Create the stored database in `data_dir` or at `database_url`, and return an engine on it."""
    if database_url:
        url = make_url(database_url).set(drivername="postgresql")
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            connection.execute((FOLDER / f"{revision}.postgresql.sql").read_bytes())
    else:
        for file, prefix in (("streetlight.db", ""), ("predictions.db", "predictions.")):
            dump = FOLDER / f"{revision}.{prefix}sqlite.sql"
            if dump.exists():
                with closing(sqlite3.connect(data_dir / file)) as database:
                    database.executescript(dump.read_text(encoding="utf-8"))
    settings = Settings(data_dir=data_dir, database_url=database_url)
    return open_engine(settings.database)


def rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of each table but those of the revisions."""
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            name: [
                dict(row)
                for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for name, table in metadata.tables.items()
            if not name.startswith("alembic_version")
        }


def description(engine: Engine) -> object:
    """Return the columns, keys and indexes of each table; the order of the columns is left out."""
    with engine.connect() as connection:
        inspector = inspect(connection)
        return {
            table: {
                "columns": {
                    column["name"]: {**column, "type": str(column["type"])}
                    for column in inspector.get_columns(table)
                },
                "primary key": inspector.get_pk_constraint(table),
                "unique": inspector.get_unique_constraints(table),
                "indexes": {
                    index["name"]: {
                        **index,
                        "dialect_options": {
                            name: str(value) for name, value in index["dialect_options"].items()
                        },
                    }
                    for index in inspector.get_indexes(table)
                },
            }
            for table in inspector.get_table_names()
        }
