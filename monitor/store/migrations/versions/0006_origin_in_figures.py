"""The indexes that figures are counted from know the origin, so that what was seen here and reports are told apart."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_generations_ended": (
        ["ended_at_ms", "outcome", "channel", "duration_s", "attempts", "render_after_s"],
        "ended_at_ms IS NOT NULL",
    ),
    "ix_generations_measured": (["ended_at_ms", "sse_result", "polling_result"], "sse_result IS NOT NULL"),
}


def upgrade() -> None:
    """With the origin."""
    _make_anew(["origin"])


def downgrade() -> None:
    """Without it."""
    _make_anew([])


def _make_anew(more: list[str]) -> None:
    for name, (columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.drop_index(name, "generations")
        op.create_index(name, "generations", [*columns, *more], sqlite_where=where, postgresql_where=where)
