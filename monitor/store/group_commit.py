"""Commits many generations' writes together: one transaction every few milliseconds, whoever asked for them.

Callers wait for the commit that has their write. One that stops waiting does not take its write back.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
)

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import Handle, State
from monitor.store.port import Ending, Record
from monitor.store.rows import ending_row, row_of, submit_row
from monitor.store.tables import generations

MAX_WAITING: Final = 10_000
_GAP_S: Final = 0.008
_BATCH: Final = 500
_RETRY_CAP_S: Final = 2.0

_ADD: Final = generations.insert()
_SUBMIT: Final = (
    generations.update()
    .where(generations.c.id == bindparam("row_id"), generations.c.outcome.is_(None))
    .values(handle=bindparam("handle"), submitted_at_ms=bindparam("submitted_at_ms"), state=State.SUBMITTED.value)
)
_END: Final = (
    generations.update()
    .where(generations.c.id == bindparam("row_id"), generations.c.outcome.is_(None))
    .values(
        {
            name: bindparam(name)
            for name in (
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
            )
        }
        | {"state": State.ENDED.value}
    )
)
_WINNERS: Final = select(generations.c.ending_id).where(
    generations.c.ending_id.in_(bindparam("ending_ids", expanding=True))
)

_logger = structlog.stdlib.get_logger(__name__)


Transact = Callable[[Callable[[sa.Connection], set[str]]], Awaitable[set[str]]]
"""Runs a function in a transaction, off the event loop, and returns what it returned once that is committed."""


@dataclass(slots=True, eq=False)
class _Write:
    """One row to write, and who waits for it. The result is whether it was written."""

    row: dict[str, Any]
    done: "asyncio.Future[bool]"


@dataclass(slots=True)
class _Batch:
    """What goes into one transaction, in this order: so a generation's own writes keep theirs."""

    adds: list[_Write] = field(default_factory=list)
    submits: list[_Write] = field(default_factory=list)
    ends: list[_Write] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.adds) + len(self.submits) + len(self.ends)

    def writes(self) -> list[_Write]:
        return [*self.adds, *self.submits, *self.ends]

    def singly(self) -> "list[_Batch]":
        """Each write as a batch of its own, in order."""
        return [
            *(_Batch(adds=[write]) for write in self.adds),
            *(_Batch(submits=[write]) for write in self.submits),
            *(_Batch(ends=[write]) for write in self.ends),
        ]


class GroupCommit:
    """One writer for one database. `waiting` and `failures` are for metrics."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._next = _Batch()
        self._under_way = 0
        self._filled = asyncio.Event()
        self._is_closing = False
        self._writer = asyncio.get_running_loop().create_task(self._write_on())
        self.failures = 0

    @property
    def waiting(self) -> int:
        """Writes that are not committed yet."""
        return len(self._next) + self._under_way

    async def add(self, record: Record) -> bool:
        """Insert. False when the idempotency key is taken. Raises StoreUnavailable when too many writes wait."""
        if self._is_closing or self.waiting >= MAX_WAITING:
            raise StoreUnavailable(f"{self.waiting} writes wait for the store already")
        return await self._put(self._next.adds, row_of(record))

    async def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> None:
        """Write the handle."""
        await self._put(self._next.submits, submit_row(generation_id, handle, submitted_at))

    async def end(self, generation_id: str, ending: Ending) -> bool:
        """Write the outcome if there is none. True when this call wrote it."""
        return await self._put(self._next.ends, ending_row(generation_id, ending, secrets.token_hex(16)))

    async def close(self, at_most_s: float) -> None:
        """Commit what waits, then stop. What cannot be committed in time is logged, as it is lost."""
        self._is_closing = True
        self._filled.set()
        _, late = await asyncio.wait({self._writer}, timeout=at_most_s)
        if late:
            self._writer.cancel()
            await asyncio.wait({self._writer})
            _logger.error("the store did not answer in time; writes are lost", writes=self.waiting)

    async def _put(self, writes: list[_Write], row: dict[str, Any]) -> bool:
        write = _Write(row, asyncio.get_running_loop().create_future())
        writes.append(write)
        self._filled.set()
        return await asyncio.shield(write.done)

    async def _write_on(self) -> None:
        """Take what is there, commit it, and again. The gap lets a batch fill while nobody has to wait long."""
        while True:
            await self._filled.wait()
            if not self._is_closing:
                await asyncio.sleep(_GAP_S)
            batch = self._take()
            if len(batch):
                await self._commit_until_done(batch)
            elif self._is_closing:
                return

    def _take(self) -> _Batch:
        """At most `_BATCH` of each kind; a generation's later writes never overtake its earlier ones."""
        waiting, batch = self._next, _Batch()
        batch.adds = waiting.adds[:_BATCH]
        if len(waiting.adds) <= _BATCH:
            batch.submits = waiting.submits[:_BATCH]
            if len(waiting.submits) <= _BATCH:
                batch.ends = waiting.ends[:_BATCH]
        del waiting.adds[: len(batch.adds)]
        del waiting.submits[: len(batch.submits)]
        del waiting.ends[: len(batch.ends)]
        if not len(waiting) and not self._is_closing:
            self._filled.clear()
        return batch

    async def _commit_until_done(self, batch: _Batch) -> None:
        """Commit; a store in trouble is asked again for as long as it takes."""
        self._under_way = len(batch)
        tries = 0
        while True:
            try:
                await self._commit(batch)
            except (SQLAlchemyError, OSError) as error:
                if _is_poison(error):
                    await self._commit_singly(batch, error)
                    break
                self.failures += 1
                tries += 1
                if tries == 1:
                    _logger.warning("the store cannot be written; trying again", error=_first_line(error))
                await asyncio.sleep(random.random() * min(_RETRY_CAP_S, 0.05 * 2.0**tries))
            else:
                if tries:
                    _logger.warning("the store can be written again", tries=tries)
                break
        self._under_way = 0

    async def _commit_singly(self, batch: _Batch, error: Exception) -> None:
        """A row that the database will not take fails its own caller and nobody else."""
        if len(batch) > 1:
            for single in batch.singly():
                await self._commit_until_done(single)
            return
        write = batch.writes()[0]
        if batch.adds and isinstance(error, IntegrityError):
            _resolve(write, written=False)
        elif not write.done.done():
            self.failures += 1
            write.done.set_exception(StoreUnavailable(f"the store refuses a row: {_first_line(error)}"))

    async def _commit(self, batch: _Batch) -> None:
        winners = await self._transact(lambda connection: _apply(connection, batch))
        for write in (*batch.adds, *batch.submits):
            _resolve(write, written=True)
        for write in batch.ends:
            _resolve(write, written=write.row["ending_id"] in winners)


def _apply(connection: sa.Connection, batch: _Batch) -> set[str]:
    """Write a batch, and read back which of its outcomes were taken: only a first one is."""
    if batch.adds:
        connection.execute(_ADD, [write.row for write in batch.adds])
    if batch.submits:
        connection.execute(_SUBMIT, [write.row for write in batch.submits])
    if not batch.ends:
        return set()
    connection.execute(_END, [write.row for write in batch.ends])
    ending_ids = [write.row["ending_id"] for write in batch.ends]
    return set(connection.execute(_WINNERS, {"ending_ids": ending_ids}).scalars())


def _resolve(write: _Write, *, written: bool) -> None:
    if not write.done.done():
        write.done.set_result(written)


def _is_poison(error: Exception) -> bool:
    """Whether trying the same rows again is of no use: the database answers, and does not take them."""
    if isinstance(error, IntegrityError):
        return True
    return isinstance(error, DBAPIError) and type(error).__name__ in (
        "DataError",
        "ProgrammingError",
        "NotSupportedError",
    )


def _first_line(error: Exception) -> str:
    """What went wrong, without the rows."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0][:300]
