"""The tables of the database.

`ledger`, `learning`, `idempotency`, `prediction_log` and `webhook` define what their rows mean.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()
# In SQLite, the prediction log is in another file.
prediction_log = MetaData()

# SQLite stores rows in the order of an INTEGER primary key. Any other type needs an extra index.
ROW_ID = BigInteger().with_variant(Integer(), "sqlite")

observations = Table(
    "observations",
    metadata,
    # Assigned by `ledger.ingest` under the write lock, so ids are in commit order and unique.
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("client_id", String(200), unique=True),
    Column("at", Double, nullable=False),
    Column("lights", Text, nullable=False),
    Column("outcome", Integer, nullable=False),
    Column("source", String(100), nullable=False),
    Column("version", Integer),
    Column("said", Integer),
    Column("withdrawn_at", Double),
    Column("request_id", String(128)),
)
# Includes the id, so that the first of many equal rows are found without sorting.
Index("ix_observations_state", observations.c.lights, observations.c.outcome, observations.c.id)
Index("ix_observations_at", observations.c.at)
# A covering index for the accuracy queries: they don't read the table. In order of id, so that the
# last observations of a version, or those after an id, are found without sorting.
Index(
    "ix_observations_accuracy",
    observations.c.version,
    observations.c.id,
    observations.c.said,
    observations.c.outcome,
    observations.c.withdrawn_at,
)

# Indexes of older releases that others replace: each costs every insertion.
REPLACED_INDEXES = ("ix_observations_version",)

# The states of jobs that haven't ended.
UNFINISHED = ("queued", "running")

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
    # The name of the API key of the request.
    Column("key", Text),
    # The trace of the request, as in its header.
    Column("traceparent", Text),
)
# The table of each index, and its columns and condition in SQL, which both databases accept. An
# `Index` with a WHERE clause needs the options of both dialects, and importing PostgreSQL's takes a
# tenth of the start time. Python writes a tuple of two texts as SQL does.
PARTIAL_INDEXES = {
    "ix_jobs_unfinished": ("jobs", f"(id) WHERE state IN {UNFINISHED}"),
    "ix_webhook_deliveries_waiting": (
        "webhook_deliveries",
        "(next_attempt_at) WHERE state = 'waiting'",
    ),
    "ix_observations_withdrawn": ("observations", "(withdrawn_at) WHERE withdrawn_at IS NOT NULL"),
}

# The rows that a request gave for its job to learn from. Not a column of `jobs`: megabytes in a row
# slow down each query that reads a later column.
job_rows = Table(
    "job_rows",
    metadata,
    Column("job", ROW_ID, primary_key=True, autoincrement=False),
    Column("data", Text, nullable=False),
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
# Finds the expired rows. Without it, each request with a key reads the whole table.
Index("ix_idempotency_at", idempotency.c.at)

# Where many hosts share the database (PostgreSQL), it has the versions, and the folder of each
# host is a cache of them. With SQLite, the folder has the versions, and these tables are empty.
versions = Table(
    "versions",
    metadata,
    # One above the highest, assigned under the lock of the versions.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("job", BigInteger, unique=True),
    # The digest of the file.
    Column("sha256", String(64), nullable=False),
    Column("file", LargeBinary, nullable=False),
)

# The live version is that of the last row, unless that is an unload.
promotions = Table(
    "promotions",
    metadata,
    # One above the highest, assigned under the lock of the versions.
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("action", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("instead_of", Integer),
    Column("reason", Text, nullable=False),
    # The name of the API key of the request; null if none was sent, and for a trainer or a command.
    Column("key", Text),
)

# Which promotion each host has applied, and when it was last heard of.
hosts = Table(
    "hosts",
    metadata,
    Column("name", String(200), primary_key=True),
    # `id` and `at` of the promotion: after a failover that lost commits, an id can come again.
    Column("promotion", BigInteger),
    Column("promoted_at", Double),
    Column("applied_at", Double),
    Column("seen_at", Double, nullable=False),
)

# The events that are reported to the receiver of the webhook.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    # One above the last, assigned under the lock of the webhook, so ids are in commit order.
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("webhook_id", String(40), nullable=False),
    Column("type", String(20), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", Double),
    Column("finished_at", Double),
    Column("status", Integer),
    Column("error", Text),
)
Index("ix_webhook_deliveries_created_at", webhook_deliveries.c.created_at)

# One row, as JSON: up to where the events have been found.
webhook_position = Table(
    "webhook_position",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("position", Text, nullable=False),
)

predictions = Table(
    "predictions",
    prediction_log,
    # Assigned under the lock of the log, so ids are in commit order; never used twice.
    Column("id", ROW_ID, primary_key=True),
    Column("at", Double, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("row", Integer, nullable=False),
    Column("dialect", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    # The text that `observations.lights` has for the same light state.
    Column("lights", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("decision", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_predictions_request_id", predictions.c.request_id)
Index("ix_predictions_at", predictions.c.at)
Index("ix_predictions_version", predictions.c.version, predictions.c.id)
