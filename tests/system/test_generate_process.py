"""`monitor generate` as a process, in the hands of scripts: what it hears, what it says, and what it leaves behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiohttp import web

from tests.peers import Answer, serve

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ASCII_ONLY: Final = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENDED: Final = {"id": "g-1", "outcome": "provider_failed", "detail": "zu groß 😀"}


@asynccontextmanager
async def _generate(*arguments: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MONITOR_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "generate", *arguments),
        env=inherited | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _service(following: asyncio.Event, *, ends: bool) -> Answer:
    """A service whose one generation ends at once, or never; `following` is set when somebody waits for its end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/events"):
            return web.json_response({"id": "g-1"})
        following.set()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if ends:
            await response.write(f"event: generation\ndata: {json.dumps(ENDED)}\n\n".encode())
        else:
            await asyncio.Event().wait()
        return response

    return answer


async def test_words_and_json_are_utf_8_whatever_the_terminal_speaks() -> None:
    async with serve(_service(asyncio.Event(), ends=True)) as peer:
        async with _generate("лиса", "--json", "--url", peer.url, **ASCII_ONLY) as process:
            said, _ = await process.communicate()
        assert json.loads(peer.bodies[0])["prompt"] == "лиса"
    assert (process.returncode, json.loads(said)) == (4, ENDED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_whatever_stops_it_the_generation_is_cancelled(number: signal.Signals) -> None:
    following = asyncio.Event()
    async with serve(_service(following, ends=False)) as peer, _generate("a fox", "--url", peer.url) as process:
        await following.wait()
        process.send_signal(number)
        said, complained = await process.communicate()
        assert (process.returncode, said, complained) == (130, b"", b"cancelled\n")
        assert (peer.requests[-1].method, peer.requests[-1].path) == ("DELETE", "/v1/generations/g-1")
