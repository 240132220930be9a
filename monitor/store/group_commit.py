"""Commits many generations' writes together: one transaction some times in a second, whoever asked for them.

Callers wait for the commit that has their write. One that stops waiting does not take its write back.
"""

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
import structlog

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import Handle
from monitor.delivery.render_interval import RenderInterval
from monitor.store.batch import Kind, Write, apply
from monitor.store.port import Ending, Findings, Record, TimelineEntry
from monitor.store.rows import ending_row, note_row, row_of, submit_row
from monitor.store.trouble import first_line, is_refusal

MAX_WAITING: Final = 10_000
_GAP_S: Final = 0.05
"""From the beginning of one commit to that of the next, at least. One after a pause is not held up.

Most of a commit's cost does not grow with what is in it, so the gap decides what a generation costs under load.
"""
_BATCH: Final = 2_000
_RETRY_FIRST_S: Final = 0.1
_RETRY_CAP_S: Final = 2.0

_Result = TypeVar("_Result")

_logger = structlog.stdlib.get_logger(__name__)


class Transact(Protocol):
    """Runs a function in a transaction, off the event loop, and returns its result once that is committed."""

    async def __call__(self, work: Callable[[sa.Connection], _Result], /) -> _Result: ...


class GroupCommit:
    """One writer for one database. `waiting` and `failures` are for metrics."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._queue: deque[Write] = deque()
        self._open: set[Write] = set()
        self._filled = asyncio.Event()
        self._is_closing = False
        self._trouble: str | None = None
        self._loop = asyncio.get_running_loop()
        self._writer = self._loop.create_task(self._write_on())
        self.failures = 0

    @property
    def trouble(self) -> str | None:
        """Why the last commit failed, while it is tried again."""
        return self._trouble

    @property
    def waiting(self) -> int:
        """Writes that are not committed yet."""
        return len(self._open)

    async def add(self, record: Record) -> bool:
        """Insert. False when the idempotency key is taken. Raises StoreUnavailable when too many writes wait."""
        if self._is_closing:
            raise StoreUnavailable("the store is closing")
        if self.waiting >= MAX_WAITING:
            raise StoreUnavailable(f"{self.waiting} writes wait for the store already")
        return await self._put(Kind.ADD, record.id, row_of(record))

    def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> "asyncio.Future[bool]":
        """Write the handle."""
        return self._put(Kind.SUBMIT, generation_id, submit_row(generation_id, handle, submitted_at))

    def end(self, generation_id: str, ending: Ending) -> "asyncio.Future[bool]":
        """Write the outcome if there is none. True when this call wrote it."""
        return self._put(Kind.END, generation_id, ending_row(generation_id, ending, secrets.token_hex(16)))

    async def note(
        self,
        generation_id: str,
        findings: Findings,
        timeline: Sequence[TimelineEntry],
        render: RenderInterval | None,
    ) -> None:
        """Write what was found out after the end."""
        await self._put(Kind.NOTE, generation_id, note_row(findings, timeline, render))

    async def close(self, at_most_s: float) -> None:
        """Commit what waits, then stop. What is not committed in time is logged, and its callers are told."""
        self._is_closing = True
        self._filled.set()
        _, late = await asyncio.wait({self._writer}, timeout=at_most_s)
        if late:
            self._writer.cancel()
            await asyncio.wait({self._writer})
        if self._open:
            lost = sorted({write.generation_id for write in self._open})
            _logger.error("the store did not answer in time; writes are lost", writes=self.waiting, generations=lost)
        for write in tuple(self._open):
            self._fail(write, "the store was closed before it answered")

    def _put(self, kind: Kind, generation_id: str, row: dict[str, Any]) -> "asyncio.Future[bool]":
        """Whether it took effect, once that is committed. Who stops waiting does not take the write back."""
        write = Write(kind, generation_id, row, self._loop.create_future())
        if self._writer.done():
            write.done.set_exception(StoreUnavailable("the store is closed"))
            return write.done
        self._queue.append(write)
        self._open.add(write)
        self._filled.set()
        return write.done

    async def _write_on(self) -> None:
        """Take what is there, commit it, and again. The gap lets a batch fill while nobody has to wait long."""
        loop = self._loop
        next_at_s = loop.time()
        while True:
            await self._filled.wait()
            if not self._is_closing:
                await asyncio.sleep(max(0.0, next_at_s - loop.time()))
            next_at_s = loop.time() + _GAP_S
            if batch := self._take():
                await self._commit(batch)
            elif self._is_closing:
                return

    def _take(self) -> list[Write]:
        """The oldest writes, in the order of arrival: so a generation's later ones never overtake its earlier ones."""
        batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        if not self._queue and not self._is_closing:
            self._filled.clear()
        return batch

    async def _commit(self, batch: list[Write]) -> None:
        """Commit. A row that the database refuses fails its own caller: halves are tried until it stands alone."""
        parts = [batch]
        while parts:
            part = parts.pop()
            refusal = await self._commit_or_refuse(part)
            if refusal is None:
                continue
            if len(part) > 1:
                half = len(part) // 2
                parts += (part[half:], part[:half])
                continue
            self.failures += 1
            _logger.error("the store refuses a row", generation=part[0].generation_id, error=first_line(refusal))
            self._fail(part[0], f"the store refuses a row: {first_line(refusal)}")

    async def _commit_or_refuse(self, batch: Sequence[Write]) -> Exception | None:
        """Commit; a store in trouble is asked again for as long as it takes. Returns why it will never take them."""
        retry_cap_s = 0.0
        while True:
            try:
                without_effect = await self._transact(lambda connection: apply(connection, batch))
            except Exception as error:  # noqa: BLE001 - whatever it is, the writer must live on
                if is_refusal(error):
                    return error
                self.failures += 1
                if not retry_cap_s:
                    _logger.warning("the store cannot be written; trying again", error=first_line(error))
                self._trouble = first_line(error)
                retry_cap_s = min(_RETRY_CAP_S, retry_cap_s * 2 or _RETRY_FIRST_S)
                await asyncio.sleep(random.random() * retry_cap_s)
            else:
                self._trouble = None
                if retry_cap_s:
                    _logger.warning("the store can be written again", waiting=self.waiting)
                for write in batch:
                    self._settle(write, took_effect=write not in without_effect)
                return None

    def _settle(self, write: Write, *, took_effect: bool) -> None:
        self._open.discard(write)
        if not write.done.done():
            write.done.set_result(took_effect)

    def _fail(self, write: Write, why: str) -> None:
        self._open.discard(write)
        if not write.done.done():
            write.done.set_exception(StoreUnavailable(why))
