"""Many generations' writes as a few statements, and which of them took effect."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.delivery.model import State
from monitor.store.tables import generations

_COLUMNS: Final = generations.c
_ADD: Final[dict[str, sa.Insert]] = {
    "sqlite": sqlite.insert(generations).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(generations).on_conflict_do_nothing(),
}
"""An older generation with the same key stands in the way of its own row only, not of the batch."""
_OPEN_ROW: Final = generations.update().where(_COLUMNS.id == bindparam("row_id"), _COLUMNS.outcome.is_(None))
_SUBMIT: Final = _OPEN_ROW.values(
    handle=bindparam("handle"), submitted_at_ms=bindparam("submitted_at_ms"), state=State.SUBMITTED.value
)
_ENDED: Final = (
    "ending_id",
    "ended_at_ms",
    "duration_s",
    "outcome",
    "reason",
    "detail",
    "channel",
    "attempts",
    "asset",
    "timeline",
    "render_after_s",
    "render_by_s",
)
_END: Final = _OPEN_ROW.values({name: bindparam(name) for name in _ENDED} | {"state": State.ENDED.value})
_HELD: Final = select(_COLUMNS.id, _COLUMNS.ending_id).where(_COLUMNS.id.in_(bindparam("ids", expanding=True)))


class Kind(Enum):
    """What a write does."""

    ADD = auto()
    SUBMIT = auto()
    END = auto()
    NOTE = auto()


@dataclass(slots=True, eq=False)
class Write:
    """One row to write, and who waits for it. The result is whether it took effect."""

    kind: Kind
    generation_id: str
    row: dict[str, Any]
    done: "asyncio.Future[bool]"


def apply(connection: sa.Connection, writes: Sequence[Write]) -> set[Write]:
    """Write them all. Returns those without effect: adds whose key was taken, and ends that came second.

    Adds go first and notes last, which keeps the order of each generation's own. Safe to repeat when it is unknown
    whether a commit came through.
    """
    adds, submits, ends, notes = ([write for write in writes if write.kind is kind] for kind in Kind)
    without_effect: set[Write] = set()
    if adds:
        number = connection.execute(_ADD[connection.dialect.name], [write.row for write in adds]).rowcount
        if number != len(adds):
            held = _held(connection, adds)
            without_effect.update(write for write in adds if write.generation_id not in held)
    if submits:
        connection.execute(_SUBMIT, [write.row for write in submits])
    if ends:
        number = connection.execute(_END, [write.row for write in ends]).rowcount
        if number != len(ends):
            held = _held(connection, ends)
            without_effect.update(write for write in ends if held.get(write.generation_id) != write.row["ending_id"])
    for write in notes:
        connection.execute(generations.update().where(_COLUMNS.id == write.generation_id).values(write.row))
    return without_effect


def _held(connection: sa.Connection, writes: Sequence[Write]) -> dict[str, str | None]:
    """Which of these generations the table has, and who ended them. Only asked where the row count leaves it open."""
    found = connection.execute(_HELD, {"ids": [write.generation_id for write in writes]})
    return {row.id: row.ending_id for row in found}
