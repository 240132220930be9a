"""Indexes that have no entry of what is not known yet, and none that another one makes up for.

Every entry is written again when its value comes, and that was the greater part of what a generation cost the database.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ENDED = ["ended_at_ms", "outcome", "channel", "duration_s", "attempts"]
_Indexes = Mapping[str, tuple[list[str], str | None]]

_MADE: _Indexes = {
    "ix_generations_unfinished": (["instance"], "outcome IS NULL"),
    "ix_generations_ended": ([*_ENDED, "render_after_s"], "ended_at_ms IS NOT NULL"),
    "ix_generations_outcome": (["outcome", "id"], "outcome IS NOT NULL"),
    "ix_generations_channel": (["channel", "id"], "channel IS NOT NULL"),
}
_DROPPED: _Indexes = {
    "ix_generations_instance_state": (["instance", "state"], None),
    "ix_generations_ended": (_ENDED, None),
    "ix_generations_outcome": (["outcome", "id"], None),
    "ix_generations_channel": (["channel", "id"], None),
    "ix_generations_created": (["created_at_ms"], None),
    "ix_generations_render": (["ended_at_ms"], "render_after_s IS NOT NULL"),
}


def upgrade() -> None:
    """Drop the old, and make the new."""
    _replace(_DROPPED, _MADE)


def downgrade() -> None:
    """Back to the indexes of version 0003."""
    _replace(_MADE, _DROPPED)


def _replace(old: _Indexes, new: _Indexes) -> None:
    for name in old:
        op.drop_index(name, "generations")
    for name, (columns, condition) in new.items():
        where = None if condition is None else sa.text(condition)
        op.create_index(name, "generations", columns, sqlite_where=where, postgresql_where=where)
