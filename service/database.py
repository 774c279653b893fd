"""The database: its tables, how it is opened, and how its schema comes to be.

What the rows mean is in `observations` and `jobs`. SQLite by default, PostgreSQL by its URL; both
are worked on in short transactions, and time is the database's own.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    inspect,
    text,
)

metadata = MetaData()

# On SQLite an INTEGER key is the row's own place; any other type would need an index beside it.
ROW_ID = BigInteger().with_variant(Integer(), "sqlite")

observations = Table(
    "observations",
    metadata,
    # Given by us, under the write lock: in the order of commits, and never twice.
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("client_id", String(200), unique=True),
    Column("at", Double, nullable=False),
    Column("lights", Text, nullable=False),
    Column("outcome", Integer, nullable=False),
    Column("source", String(100), nullable=False),
    Column("version", Integer),
    Column("said", Integer),
    Column("withdrawn_at", Double),
)
# With the id, so that the first of many equal rows are found without sorting them all.
Index("ix_observations_state", observations.c.lights, observations.c.outcome, observations.c.id)
Index("ix_observations_at", observations.c.at)
# All that accuracy is made of, so that the rows themselves need not be looked up.
Index(
    "ix_observations_version",
    observations.c.version,
    observations.c.said,
    observations.c.outcome,
    observations.c.withdrawn_at,
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("order", Text, nullable=False),
    Column("trigger", String(20), nullable=False),
    Column("request_id", String(128)),
    Column("submitted_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("owner", String(200)),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease_until", Double),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("progress", Text),
    Column("version", Integer),
    Column("promoted", Boolean),
    Column("verdict", Text),
    Column("error", Text),
)
# As SQL that both databases take: to name an option of PostgreSQL's here would import all of its
# dialect, a tenth of what a start costs.
event.listen(
    jobs,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE INDEX ix_jobs_unfinished ON jobs (id) WHERE state IN ('queued', 'running')"
    ),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", String(20), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", Double, nullable=False),
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
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a transaction that writes; it is committed at the end of the block."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def writing_in_order(engine: Engine) -> Iterator[Connection]:
    """Give a transaction that writes, one at a time: they commit in the order they began."""
    with writing(engine) as connection:
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


def create_schema(engine: Engine, data_dir: Path, fill: Callable[[Connection], None]) -> None:
    """Create the tables where there are none, and fill them: once, and as one, however many ask."""
    data_dir.mkdir(parents=True, exist_ok=True)
    # A lock for this host, and one for those that share the database from elsewhere.
    with (data_dir / ".schema.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with writing_in_order(engine) as connection:
            if not inspect(connection).has_table("idempotency"):
                metadata.create_all(connection)
                fill(connection)
