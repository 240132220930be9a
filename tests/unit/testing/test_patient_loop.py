"""The loop whose clock stands still while there is work: what has arrived is never overtaken by a timer."""

import asyncio
import socket
import time

import pytest

pytestmark = pytest.mark.patient_time(pace=10.0)


def stall() -> None:
    """The machine does something else for a while."""
    time.sleep(0.05)


async def test_work_takes_no_time() -> None:
    began_s = asyncio.get_running_loop().time()
    stall()
    await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() - began_s < 0.01


async def test_a_wait_takes_what_it_is_told_to_take() -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await asyncio.sleep(0.5)
    assert loop.time() - began_s == pytest.approx(0.5)


async def test_what_was_sent_arrives_before_a_later_timer_however_slow_the_machine_is() -> None:
    loop = asyncio.get_running_loop()
    heard: list[str] = []
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        loop.call_later(0.02, heard.append, "the timer")
        loop.add_reader(here, lambda: heard.append(here.recv(10).decode()))
        loop.call_later(0.01, there.send, b"the bytes")
        loop.call_later(0.01, stall)
        await asyncio.sleep(0.03)
        loop.remove_reader(here)
    assert heard == ["the bytes", "the timer"]


async def test_a_thread_has_the_time_that_it_needs() -> None:
    await asyncio.wait_for(asyncio.to_thread(stall), 5.0)
