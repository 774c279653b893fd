"""The name of the API key that a promotion and a job come from, and the trace of a job."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, which are null in the rows that exist."""
    op.add_column("promotions", Column("key", Text))
    op.add_column("jobs", Column("key", Text))
    op.add_column("jobs", Column("traceparent", Text))
