"""Runs a command's coroutine on the fastest loop there is."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TypeVar

_Result = TypeVar("_Result")


def run(work: Coroutine[None, None, _Result]) -> _Result:
    """Run `work` to its end, on uvloop where it exists, with as many open files as the system allows."""
    _raise_file_limit()
    if sys.platform == "win32":
        return asyncio.run(work)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def favour_the_event_loop() -> None:
    """Call it when all is set up, so that neither garbage collection nor a scrape holds deliveries up for long.

    What lives for good is not looked at again and again, and the rest seldom: nearly all of a generation goes by
    reference counting. Threads that render a scrape give the interpreter back after half a millisecond, not five.
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _raise_file_limit() -> None:
    """Each stream is an open file, and the usual soft limit is a thousand."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def heed_like_ctrl_c() -> None:
    """Have SIGTERM, and a terminal that is closed, end the command as Ctrl-C does: with nothing left behind."""
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            loop.add_signal_handler(number, signal.raise_signal, signal.SIGINT)


async def until_told_to_stop() -> None:
    """Return at the first SIGTERM or SIGINT."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


def on_hangup(act: Callable[[], None]) -> None:
    """Call `act` at each SIGHUP from now on, where there is such a signal."""
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)
