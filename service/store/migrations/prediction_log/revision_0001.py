"""The first prediction log."""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "predictions",
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
        Column("at", Double, nullable=False),
        Column("request_id", String(128), nullable=False),
        Column("row", Integer, nullable=False),
        Column("dialect", String(20), nullable=False),
        Column("version", Integer, nullable=False),
        Column("lights", Text, nullable=False),
        Column("score", Double, nullable=False),
        Column("decision", Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_predictions_request_id", "predictions", ["request_id"])
    op.create_index("ix_predictions_at", "predictions", ["at"])
    op.create_index("ix_predictions_version", "predictions", ["version", "id"])
