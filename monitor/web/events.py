"""Streams of events to callers: how many may be open, and what each gets until its generation or its caller is gone."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import orjson
import structlog
from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from monitor.delivery.errors import Overloaded, StoreUnavailable
from monitor.delivery.model import State
from monitor.runner import Runner
from monitor.web.bodies import render_generation

RETRY_AFTER_S: Final = 10
END_ID: Final = "end"
"""The id of the last event, whatever came before it."""

_logger = structlog.stdlib.get_logger(__name__)


class OpenStreams:
    """Counts them, and refuses what is too many: each holds a connection for as long as a generation takes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises Overloaded."""
        if self._open >= self._limit:
            raise Overloaded(self._limit, RETRY_AFTER_S, "event streams are open")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


async def stream_events(request: web.Request, runner: Runner, generation_id: str, last_id: str) -> EventSourceResponse:
    """Send the timeline after the event `last_id`, and at last the generation, for as long as the caller is there."""
    async with sse_response(request) as response:
        sending = asyncio.create_task(_send(response, runner, generation_id, last_id))
        gone = asyncio.create_task(response.wait())
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.wait({sending, gone})
    if not sending.cancelled() and (error := sending.exception()) is not None:
        _logger.error("a stream of events crashed", generation=generation_id, exc_info=error)
    return response


async def _send(response: EventSourceResponse, runner: Runner, generation_id: str, last_id: str) -> None:
    """All of it, unless the caller goes or does not read, or the store cannot: who comes back goes on where it was."""
    with suppress(OSError, StoreUnavailable):
        async for entry_id, entry in runner.follow(generation_id, last_id):
            await response.send(orjson.dumps(entry).decode(), event=str(entry["event"]), id=entry_id)
        record = await runner.get(generation_id)
        if record is not None and record.state is State.ENDED:
            body = orjson.dumps(render_generation(record)).decode()
            await response.send(body, event="generation", id=END_ID)
