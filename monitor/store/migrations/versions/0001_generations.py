"""The table of generations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "generations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("flow", sa.String(16), nullable=False),
        sa.Column("policy", sa.String(40), nullable=False),
        sa.Column("instance", sa.String(40), nullable=False),
        sa.Column("trace", sa.Text, nullable=False),
        sa.Column("idempotency_scope", sa.String(40)),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("request_hash", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("handle", sa.Text),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("submitted_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("duration_s", sa.Double),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text),
        sa.Column("channel", sa.String(16)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("asset", sa.Text),
        sa.Column("timeline", sa.Text, nullable=False),
        sa.Column("ending_id", sa.String(32)),
        sa.UniqueConstraint("idempotency_scope", "idempotency_key", name="uq_generations_idempotency"),
    )
    op.create_index("ix_generations_ended", "generations", ["ended_at_ms", "outcome", "channel", "duration_s"])
    op.create_index("ix_generations_instance_state", "generations", ["instance", "state"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("generations")
