"""Open the database, and start its transactions: SQLite by default, or PostgreSQL.

Stored times and deadlines use the clock of the database, because the clocks of hosts can differ.
`postgresql` bounds how long a statement waits for a PostgreSQL server.
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
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError

from streetlight.model.registry.file_lock import LOCK_TIMEOUT
from streetlight.service.config.settings import THREADS
from streetlight.service.store.statement_spans import trace_statements

# The key of the advisory lock: the bytes of "strl". No other program may use this key or the next.
WRITE_LOCK = 0x7374726C
# That of the transactions that write the prediction log, for which no other one has to wait.
PREDICTION_LOG_LOCK = WRITE_LOCK + 1


def open_engine(url: str, *, durable: bool = True) -> Engine:
    """Return an engine for the database at `url`, without connecting.

    Its errors are logged, so they don't contain the values of a statement. If it isn't `durable`, a
    failure of the machine may undo the last commits in SQLite, which then needs no wait for a disk.
    """
    try:
        backend = make_url(url).get_backend_name()
    except ValueError as error:
        raise ArgumentError(
            "expected a number as the port; name several hosts by "
            "…/database?host=first:5432&host=second:5432"
        ) from error
    if backend != "sqlite":
        # Here, because it imports psycopg, which is an optional dependency.
        from streetlight.service.store import postgresql  # noqa: PLC0415

        return trace_statements(postgresql.open_engine(url))
    engine = create_engine(
        url,
        connect_args={"isolation_level": None},
        pool_size=THREADS,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's own
        busy_timeout = f"busy_timeout={LOCK_TIMEOUT * 1000}"
        synchronous = f"synchronous={'FULL' if durable else 'NORMAL'}"
        for pragma in (busy_timeout, "journal_mode=WAL", synchronous):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A SQLite transaction that reads first and writes later fails if another one has written
        # in between. One that writes therefore takes the write lock at its start, and waits.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return trace_statements(engine)


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a write transaction, and commit at the end of the block."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def ordered_write_transaction(engine: Engine, lock: int = WRITE_LOCK) -> Iterator[Connection]:
    """Yield a connection in a write transaction that excludes all others with the same `lock`.

    Such transactions commit in the order in which they got the lock, on both databases.
    """
    with write_transaction(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(func.pg_advisory_xact_lock(lock).select())
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a connection whose queries all read the same snapshot of the database."""
    with engine.connect().execution_options(snapshot=True) as connection:
        yield connection


def describe(error: Exception) -> str:
    """Return in one line why the database can't be used; of another error, the message."""
    if not isinstance(error, DBAPIError):
        return str(error)
    reason = str(error.orig).partition("\n")[0]  # the other lines may have values of the statement
    if "database is locked" in reason or "lock timeout" in reason:
        reason += f"; another transaction has held the write lock for {LOCK_TIMEOUT} s"
    return f"the database can't be used: {reason}"


def clock(engine: Engine) -> ColumnElement[float]:
    """Return an SQL expression for the database's current time, in seconds since 1970."""
    if engine.dialect.name == "postgresql":
        return func.extract("epoch", func.clock_timestamp()).cast(Double)
    return (func.julianday("now") - 2440587.5) * 86400.0
