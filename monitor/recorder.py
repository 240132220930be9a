"""Writes down how generations go, and the one outcome of each: only who wrote it first tells it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from monitor.aftermath import Aftermath
from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.facts import Disowned
from monitor.delivery.model import Verdict
from monitor.delivery.waiting import settled
from monitor.flight import Flight, ended_record
from monitor.store.port import Findings, Record, RecordStore

STORE_PATIENCE_S: Final = 1.0
"""How long a delivery waits for a store in trouble; then it goes on, and is recorded late."""

_Result = TypeVar("_Result")

_logger = structlog.stdlib.get_logger(__name__)


class Recorder:
    """What is to be written is written whatever happens to who asked for it. `forget` is told of each that is over."""

    def __init__(self, store: RecordStore, aftermath: Aftermath, forget: Callable[[Flight], None]) -> None:
        self._store = store
        self._aftermath = aftermath
        self._forget = forget
        self._writes: set[asyncio.Future[Any]] = set()

    def keep(self, write: Awaitable[_Result]) -> "asyncio.Future[_Result]":
        """Have a write go on. Its result is for who waits for it; where it failed, the log has it."""
        kept = asyncio.ensure_future(write)
        self._writes.add(kept)
        kept.add_done_callback(self._written)
        return kept

    def submitted(self, flight: Flight) -> None:
        """Have the handle written, so that a restart can take the generation up again. Nobody waits for it."""
        handle, at = flight.record.handle, flight.record.submitted_at
        assert handle is not None and at is not None  # noqa: S101, PT018 - just set
        _ = self.keep(self._store.submit(flight.record.id, handle, at))

    def left_behind(self, flight: Flight) -> None:
        """Have written what happened so far, for whoever takes it up again."""
        if not flight.ended.done() and (timeline := flight.timeline()):
            _ = self.keep(self._store.note(flight.record.id, Findings(), timeline))

    async def conclude(self, flight: Flight, verdict: Verdict) -> None:
        """Write the outcome, and tell it if it was ours to write. With a store in trouble it is told before, and where
        the store refuses it for good it is told all the same.
        """
        fact, ending = flight.conclude(verdict)
        write = self.keep(self._store.end(flight.record.id, ending))
        write.add_done_callback(partial(self._recorded, flight))
        try:
            await settled(write, STORE_PATIENCE_S)
        except asyncio.CancelledError:
            await self._leave(flight)
            raise
        record = ended_record(flight.record, ending)
        if write.done() and write.exception() is None and not write.result():
            flight.emit(Disowned(verdict.at_s))
            await self._leave(flight)
            flight.finish(await self._recorded_elsewhere(record))
        else:
            flight.tell(fact)
            flight.finish(record)
            self._aftermath.begin(flight)
        if write.done():
            self._forget(flight)

    async def drain(self, at_most_s: float) -> None:
        """Wait for what is being written."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=at_most_s)

    async def _leave(self, flight: Flight) -> None:
        """Close what lingers: no more is found out here, but by the process that had recorded the outcome, or never."""
        self._aftermath.give_place_back(flight)
        if flight.delivery is not None:
            await flight.delivery.close()

    async def _recorded_elsewhere(self, ours: Record) -> Record:
        """The record with the outcome that another process has written; ours where that cannot be read now."""
        with suppress(StoreUnavailable):
            return await self._store.get(ours.id) or ours
        return ours

    def _recorded(self, flight: Flight, write: "asyncio.Future[bool]") -> None:
        """The outcome is in the store, or never will be, however long that took: only then is the flight forgotten."""
        if write.cancelled():
            return
        if write.exception() is None and not write.result():
            _logger.warning("another process had recorded the outcome", generation=flight.record.id)
        if flight.ended.done():
            self._forget(flight)

    def _written(self, write: "asyncio.Future[Any]") -> None:
        self._writes.discard(write)
        if not write.cancelled() and (error := write.exception()) is not None:
            _logger.error("a record could not be written", error=str(error))
