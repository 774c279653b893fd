"""The ledger of release 0.1.0."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, String, Text, text

revision = "0001"
down_revision = None

ROW_ID = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "observations",
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
    op.create_index("ix_observations_state", "observations", ["lights", "outcome", "id"])
    op.create_index("ix_observations_at", "observations", ["at"])
    op.create_index(
        "ix_observations_version", "observations", ["version", "said", "outcome", "withdrawn_at"]
    )
    op.create_table(
        "jobs",
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
    op.execute("CREATE INDEX ix_jobs_unfinished ON jobs (id) WHERE state IN ('queued', 'running')")
    op.create_table(
        "idempotency",
        Column("scope", String(20), primary_key=True),
        Column("key", String(200), primary_key=True),
        Column("sha256", String(64), nullable=False),
        Column("answer", Text, nullable=False),
        Column("at", Double, nullable=False),
    )
