"""The tables; what their rows mean is in `ledger` and `learning`."""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
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
