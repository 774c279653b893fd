"""What the webhook has to report, and what became of it."""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, String, Text

revision = "0005"
down_revision = "0004"

ROW_ID = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "webhook_deliveries",
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
    op.create_index("ix_webhook_deliveries_created_at", "webhook_deliveries", ["created_at"])
    op.execute(
        "CREATE INDEX ix_webhook_deliveries_waiting ON webhook_deliveries (next_attempt_at) "
        "WHERE state = 'waiting'"
    )
    op.create_table(
        "webhook_position",
        Column("id", ROW_ID, primary_key=True, autoincrement=False),
        Column("position", Text, nullable=False),
    )
