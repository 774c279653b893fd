"""The prediction that an observation answers, rows of a request to learn from, and better indexes.

Databases that were used between the releases have a part of it, but no revision.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String, Text, inspect

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is missing."""
    columns = inspect(op.get_bind()).get_columns("observations")
    if "request_id" not in {column["name"] for column in columns}:
        op.add_column("observations", Column("request_id", String(128)))
    op.create_index(
        "ix_observations_accuracy",
        "observations",
        ["version", "id", "said", "outcome", "withdrawn_at"],
        if_not_exists=True,
    )
    op.drop_index("ix_observations_version", "observations", if_exists=True)
    op.execute(
        "CREATE INDEX IF NOT EXISTS ix_observations_withdrawn ON observations (withdrawn_at) "
        "WHERE withdrawn_at IS NOT NULL"
    )
    op.create_table(
        "job_rows",
        Column(
            "job",
            BigInteger().with_variant(Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("data", Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_idempotency_at", "idempotency", ["at"], if_not_exists=True)
