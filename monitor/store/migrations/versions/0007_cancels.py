"""A mark on a generation that a caller of another service on the same store wants cancelled."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEX = "ix_generations_cancel_asked"


def upgrade() -> None:
    """Add the column with its index."""
    op.add_column("generations", sa.Column("cancel_asked_at_ms", sa.BigInteger))
    where = sa.text("cancel_asked_at_ms IS NOT NULL AND outcome IS NULL")
    op.create_index(_INDEX, "generations", ["instance"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them."""
    op.drop_index(_INDEX, "generations")
    op.drop_column("generations", "cancel_asked_at_ms")
