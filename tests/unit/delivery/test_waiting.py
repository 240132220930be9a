"""Waiting within a limit: who waits is let go, and what is waited for is left alone."""

import asyncio

import pytest

from monitor.delivery.waiting import settled

pytestmark = pytest.mark.virtual_time


def _later(after_s: float, result: int) -> "asyncio.Task[int]":
    return asyncio.create_task(asyncio.sleep(after_s, result))


async def test_it_returns_as_soon_as_the_work_has_ended() -> None:
    loop = asyncio.get_running_loop()
    work, began_at_s = _later(2, 7), loop.time()

    assert await settled(work, 10)

    assert (loop.time() - began_at_s, work.result()) == (2, 7)


async def test_what_has_ended_is_not_waited_for() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work.set_result(7)

    assert await settled(work, 0)


async def test_at_the_limit_it_returns_and_the_work_goes_on() -> None:
    loop = asyncio.get_running_loop()
    work, began_at_s = _later(20, 7), loop.time()

    assert not await settled(work, 10)

    assert loop.time() - began_at_s == 10
    assert await work == 7


async def test_without_a_limit_it_waits_for_as_long_as_it_takes() -> None:
    work = _later(100_000, 7)

    assert await settled(work, None)


async def test_a_failure_of_the_work_is_left_to_who_wants_it() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(1, work.set_exception, ValueError("no"))

    assert await settled(work, 10)

    with pytest.raises(ValueError, match="no"):
        work.result()


async def test_who_waits_can_be_cancelled_and_the_work_goes_on() -> None:
    work = _later(20, 7)
    waiting = asyncio.create_task(settled(work, 30))
    await asyncio.sleep(1)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await work == 7
