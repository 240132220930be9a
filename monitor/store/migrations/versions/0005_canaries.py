"""Whose run a generation is, and what canaries must not forget: ticks that were taken, money that was spent, pauses."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEX = "ix_generations_canary"
_TABLES = ("canary_claims", "canary_spending", "canary_pauses")


def upgrade() -> None:
    """Add the column with its index, and the tables."""
    op.add_column("generations", sa.Column("canary", sa.String(40)))
    where = sa.text("canary IS NOT NULL")
    op.create_index(_INDEX, "generations", ["canary", "id"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "canary_claims",
        sa.Column("canary", sa.String(40), primary_key=True),
        sa.Column("planned_at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "canary_spending",
        sa.Column("begins_at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("span", sa.String(16), primary_key=True),
        sa.Column("holder", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("micros", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "canary_pauses",
        sa.Column("canary", sa.String(40), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for name in _TABLES:
        op.drop_table(name)
    op.drop_index(_INDEX, "generations")
    op.drop_column("generations", "canary")
