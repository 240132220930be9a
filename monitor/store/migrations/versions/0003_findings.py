"""What is found out beside and after the outcome: render times, both channels, the asset, lateness."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, Any] = {
    "render_after_s": sa.Double,
    "render_by_s": sa.Double,
    "sse_result": sa.String(16),
    "polling_result": sa.String(16),
    "lag_s": sa.Double,
    "asset_check": sa.String(16),
    "late_s": sa.Double,
    "late_asset": sa.Text,
    "reconciled_at_ms": sa.BigInteger,
}
_INDEXES = {
    "ix_generations_measured": (["ended_at_ms", "sse_result", "polling_result"], "sse_result IS NOT NULL"),
    "ix_generations_render": (["ended_at_ms"], "render_after_s IS NOT NULL"),
    "ix_generations_unreconciled": (["instance"], "outcome = 'expired' AND reconciled_at_ms IS NULL"),
}


def upgrade() -> None:
    """Add the columns and their indexes."""
    for name, kind in _COLUMNS.items():
        op.add_column("generations", sa.Column(name, kind))
    for name, (columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "generations", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them."""
    for name in _INDEXES:
        op.drop_index(name, "generations")
    for name in _COLUMNS:
        op.drop_column("generations", name)
