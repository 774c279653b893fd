"""The database: its tables, how it is opened, and how its schema comes to be.

What the rows mean is in `observations` and `jobs`. SQLite by default, PostgreSQL by its URL; both
are worked on in short transactions, and time is the database's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Engine,
    create_engine,
    event,
    func,
)

# Any number that no other program takes an advisory lock of; these are the letters "strl".
WRITE_LOCK = 0x7374726C


def open_engine(url: str) -> Engine:
    """Return an engine; nothing is connected yet."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=8)
    engine = create_engine(url, connect_args={"isolation_level": None, "timeout": 10})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's own
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail where another wrote meanwhile.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a transaction that writes; it is committed at the end of the block."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def ordered_write_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a transaction that writes, one at a time: they commit in the order they began."""
    with write_transaction(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(func.pg_advisory_xact_lock(WRITE_LOCK).select())
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Give a transaction in which every query sees the same moment."""
    options = {}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with engine.connect().execution_options(**options) as connection:
        yield connection


def clock(engine: Engine) -> ColumnElement[float]:
    """Return the database's time, in seconds since 1970."""
    if engine.dialect.name == "postgresql":
        return func.extract("epoch", func.clock_timestamp()).cast(Double)
    return (func.julianday("now") - 2440587.5) * 86400.0
