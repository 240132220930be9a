"""Closing calls: whoever is in a hurry, none is left open that would have let go."""

import asyncio

import pytest

from monitor.delivery.closing import CLOSING_TRY_S, close_calls

pytestmark = pytest.mark.virtual_time


async def _swallow(cancellations: int) -> None:
    """Goes on after so many cancellations, and lets go at the next."""
    while True:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            cancellations -= 1
            if cancellations < 0:
                raise


async def test_who_closes_and_is_cancelled_is_so_when_all_is_closed() -> None:
    call = asyncio.create_task(_swallow(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(close_calls([call], "trace"))
    await asyncio.sleep(CLOSING_TRY_S / 2)
    closing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await closing

    assert call.cancelled()
