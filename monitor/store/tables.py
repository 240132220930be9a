"""The tables: generations, and what canaries must not forget. Instants are epoch milliseconds, compound values JSON."""

from typing import Any, Final

import sqlalchemy as sa

metadata: Final = sa.MetaData()


def _where(name: str, columns: tuple[str, ...], condition: str) -> sa.Index:
    """An index of the rows that meet a condition: the others cost nothing, and what is null is no news."""
    where = sa.text(condition)
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


def unindexed(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column, where it must not be what rows are sought by.

    SQLite keeps no statistics by itself and takes any equality for rarer than any range: it would read all deliveries
    there ever were to count those of an hour. In PostgreSQL it says the same.
    """
    return sa.func.coalesce(column, sa.null())


generations: Final = sa.Table(
    "generations",
    metadata,
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
    sa.Column("render_after_s", sa.Double),
    sa.Column("render_by_s", sa.Double),
    sa.Column("sse_result", sa.String(16)),
    sa.Column("polling_result", sa.String(16)),
    sa.Column("lag_s", sa.Double),
    sa.Column("asset_check", sa.String(16)),
    sa.Column("late_s", sa.Double),
    sa.Column("late_asset", sa.Text),
    sa.Column("reconciled_at_ms", sa.BigInteger),
    sa.Column("canary", sa.String(40)),
    sa.Column("cancel_asked_at_ms", sa.BigInteger),
    sa.UniqueConstraint("idempotency_scope", "idempotency_key", name="uq_generations_idempotency"),
    _where("ix_generations_unfinished", ("instance",), "outcome IS NULL"),
    _where(
        "ix_generations_ended",
        ("ended_at_ms", "outcome", "channel", "duration_s", "attempts", "render_after_s", "origin"),
        "ended_at_ms IS NOT NULL",
    ),
    _where(
        "ix_generations_measured", ("ended_at_ms", "sse_result", "polling_result", "origin"), "sse_result IS NOT NULL"
    ),
    _where("ix_generations_unreconciled", ("instance",), "outcome = 'expired' AND reconciled_at_ms IS NULL"),
    _where("ix_generations_outcome", ("outcome", "id"), "outcome IS NOT NULL"),
    _where("ix_generations_channel", ("channel", "id"), "channel IS NOT NULL"),
    sa.Index("ix_generations_provider", "provider", "id"),
    sa.Index("ix_generations_origin", "origin", "id"),
    _where("ix_generations_canary", ("canary", "id"), "canary IS NOT NULL"),
    _where("ix_generations_cancel_asked", ("instance",), "cancel_asked_at_ms IS NOT NULL AND outcome IS NULL"),
)
"""`render_by_s` is null where the asset was never seen, and so is `render_after_s` where nothing is known.
`ending_id` is a random mark of who wrote the outcome, so that a writer can see whether it was the one."""

canary_claims: Final = sa.Table(
    "canary_claims",
    metadata,
    sa.Column("canary", sa.String(40), primary_key=True),
    sa.Column("planned_at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
)
"""A row for each tick that a service has taken: no other one does."""

canary_spending: Final = sa.Table(
    "canary_spending",
    metadata,
    sa.Column("begins_at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("span", sa.String(16), primary_key=True),
    sa.Column("holder", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("micros", sa.BigInteger, nullable=False),
)
"""What was spent in a day or a month, in millionths of a US dollar."""

canary_pauses: Final = sa.Table(
    "canary_pauses",
    metadata,
    sa.Column("canary", sa.String(40), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)
