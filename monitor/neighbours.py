"""Generations that another service on the same store has in flight: seen and cancelled through the store.

Only their beginning and their end are there; what happens in between is known to their owner alone.
"""

import asyncio
import math
from typing import Final

from monitor.delivery.clock import Clock
from monitor.store.port import Record, RecordStore

LOOK_EVERY_S: Final = 1.0
CANCEL_PATIENCE_S: Final = 5.0
"""How long a caller waits for the owner to hear of it: a few of its looks."""


class Neighbours:
    """What can be done about a generation of somebody else's. `stopping` lets everybody go who waits."""

    def __init__(self, store: RecordStore, clock: Clock, stopping: asyncio.Event) -> None:
        self._store = store
        self._clock = clock
        self._stopping = stopping

    async def wait(self, generation_id: str, at_most_s: float = math.inf) -> Record | None:
        """The record, as soon as it has ended, or as it stands after `at_most_s` or when this service stops.

        Raises StoreUnavailable.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + at_most_s
        while True:
            record = await self._store.get(generation_id)
            left_s = until_s - loop.time()
            if record is None or record.outcome is not None or left_s <= 0 or self._stopping.is_set():
                return record
            try:
                async with asyncio.timeout(min(LOOK_EVERY_S, left_s)):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def cancel(self, generation_id: str) -> Record | None:
        """Ask its owner to cancel it, and wait a little for the end. One whose owner is away ends when that is back.

        Raises StoreUnavailable.
        """
        record = await self._store.get(generation_id)
        if record is None or record.outcome is not None:
            return record
        await self._store.ask_cancel(generation_id, self._clock.now())
        return await self.wait(generation_id, CANCEL_PATIENCE_S)
