"""Closes calls that are under way, those too that would not let go."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any, Final

from monitor.delivery.waiting import settled

CLOSING_TRIES: Final = 5
CLOSING_TRY_S: Final = 1.0
"""A call that swallows its cancellation is cancelled again after so long; after so many it is left behind, loudly."""

_logger = logging.getLogger(__name__)


async def close_calls(calls: Collection["asyncio.Task[Any]"], trace_id: str) -> None:
    """Cancel them all, and return when all have ended, or will not.

    Who waits may be cancelled, which is raised when that is done.
    """
    interruption: asyncio.CancelledError | None = None
    running = [call for call in calls if not call.done()]
    for _ in range(CLOSING_TRIES):
        if not running:
            break
        try:
            await _cancel_once(running)
        except asyncio.CancelledError as error:
            interruption = error
        running = [call for call in running if not call.done()]
    if running:
        _logger.error("%d calls of trace %s ignore their cancellation", len(running), trace_id)
    if interruption is not None:
        raise interruption


async def _cancel_once(calls: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel, and wait until all have ended, or long enough."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + CLOSING_TRY_S
    for call in calls:
        call.cancel()
    for call in calls:
        await settled(call, until_s - loop.time())
