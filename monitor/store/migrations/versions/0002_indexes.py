"""Indexes for lists by filter, for retention by age, and for figures that read no row beside the index."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.drop_index("ix_generations_ended", "generations")
    ended = ["ended_at_ms", "outcome", "channel", "duration_s", "attempts"]
    op.create_index("ix_generations_ended", "generations", ended)
    for name in ("outcome", "channel", "provider", "origin"):
        op.create_index(f"ix_generations_{name}", "generations", [name, "id"])
    op.create_index("ix_generations_created", "generations", ["created_at_ms"])


def downgrade() -> None:
    """Back to the indexes of version 0001."""
    for name in ("created", "origin", "provider", "channel", "outcome", "ended"):
        op.drop_index(f"ix_generations_{name}", "generations")
    op.create_index("ix_generations_ended", "generations", ["ended_at_ms", "outcome", "channel", "duration_s"])
