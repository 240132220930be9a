"""Many generations' writes as a few statements, and which of them took effect."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.tables import generations

_COLUMNS: Final = generations.c
_ADD: Final[dict[str, sa.Insert]] = {
    "sqlite": sqlite.insert(generations).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(generations).on_conflict_do_nothing(),
}
"""An older generation with the same key stands in the way of its own row only, not of the batch."""
_ROW_ID: Final = "row_id"
_CHANGE: Final = generations.update().where(_COLUMNS.id == bindparam(_ROW_ID), _COLUMNS.outcome.is_(None))
"""What has its outcome keeps it."""
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
        number = _write(connection, adds)
        if number != len(adds):
            held = _held(connection, adds)
            without_effect.update(write for write in adds if write.generation_id not in held)
    if submits:
        _write(connection, submits)
    if ends:
        number = _write(connection, ends)
        if number != len(ends):
            held = _held(connection, ends)
            without_effect.update(write for write in ends if held.get(write.generation_id) != write.row["ending_id"])
    for write in notes:
        connection.execute(generations.update().where(_COLUMNS.id == write.generation_id).values(write.row))
    return without_effect


def _write(connection: sa.Connection, writes: Sequence[Write]) -> int:
    """Write rows of one kind. Returns how many took effect, as far as the driver tells; else something else."""
    kind, names = writes[0].kind, tuple(writes[0].row)
    text, order = _prepare(connection.dialect, kind, names)
    return connection.exec_driver_sql(text, [order(write.row) for write in writes]).rowcount


@lru_cache
def _prepare(dialect: sa.Dialect, kind: Kind, names: tuple[str, ...]) -> tuple[str, Callable[[dict[str, Any]], Any]]:
    """The words of a statement, and how a row is put in the order of its parameters.

    Made once: what SQLAlchemy does for each row of each execution costs more than the database.
    """
    statement = _ADD[dialect.name] if kind is Kind.ADD else _CHANGE
    compiled = statement.compile(dialect=dialect, column_keys=[name for name in names if name != _ROW_ID])
    assert compiled.positiontup is not None, "both drivers take their parameters by position"  # noqa: S101
    return str(compiled), itemgetter(*compiled.positiontup)


def _held(connection: sa.Connection, writes: Sequence[Write]) -> dict[str, str | None]:
    """Which of these generations the table has, and who ended them. Only asked where the row count leaves it open."""
    found = connection.execute(_HELD, {"ids": [write.generation_id for write in writes]})
    return {row.id: row.ending_id for row in found}
