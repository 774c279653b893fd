"""The versions, the promotions and the hosts that share the database.

Databases that were used between the releases may have the tables, but no revision.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, String, Text

revision = "0003"
down_revision = "0002"

ROW_ID = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables that are missing."""
    op.create_table(
        "versions",
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("job", BigInteger, unique=True),
        Column("sha256", String(64), nullable=False),
        Column("file", LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "promotions",
        Column("id", ROW_ID, primary_key=True, autoincrement=False),
        Column("at", Double, nullable=False),
        Column("action", String(20), nullable=False),
        Column("version", Integer, nullable=False),
        Column("instead_of", Integer),
        Column("reason", Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "hosts",
        Column("name", String(200), primary_key=True),
        Column("promotion", BigInteger),
        Column("promoted_at", Double),
        Column("applied_at", Double),
        Column("seen_at", Double, nullable=False),
        if_not_exists=True,
    )
