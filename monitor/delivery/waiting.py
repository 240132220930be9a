"""Waiting for one thing within a limit, at half of what `asyncio.wait` costs: a generation waits again and again."""

import asyncio
from typing import Any


async def settled(work: "asyncio.Future[Any]", at_most_s: float | None) -> bool:
    """Whether `work` ends, however it ends, within the limit; None is no limit.

    It goes on where the limit passed, and where who waits is cancelled. Its result is left to who wants it.
    """
    if work.done():
        return True
    loop = work.get_loop()
    over: asyncio.Future[None] = loop.create_future()

    def let_go(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    timer = None if at_most_s is None else loop.call_later(at_most_s, let_go)
    work.add_done_callback(let_go)
    try:
        await over
    finally:
        work.remove_done_callback(let_go)
        if timer is not None:
            timer.cancel()
    return work.done()
