"""`monitor generate` against a service that is slow, gone, or refuses: nothing may be left running behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from monitor.cli import one_generation
from monitor.cli.client import ServiceFailed
from tests.peers import Peer, serve

pytestmark = pytest.mark.usefixtures("no_stray_tasks")


@asynccontextmanager
async def _generating(
    asked: asyncio.Event, answered: asyncio.Event, status: int = 202
) -> AsyncIterator[tuple[Peer, asyncio.Task[object]]]:
    """A generation asked for at a service that answers the create call when `answered` is set."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            asked.set()
            await answered.wait()
            return web.json_response({"id": "g-1", "detail": "no"}, status=status)
        return web.json_response({"id": "g-1"})

    async with serve(answer) as peer:
        task: asyncio.Task[object] = asyncio.create_task(
            one_generation._run(peer.url, lambda service: service.create({"prompt": "a fox"}), as_json=True)
        )
        await asked.wait()
        yield peer, task


async def test_ctrl_c_during_the_create_call_cancels_what_it_made(capsys: pytest.CaptureFixture[str]) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()
    async with _generating(asked, answered) as (peer, task):
        task.cancel()
        await asyncio.sleep(0.05)
        answered.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [(request.method, request.path) for request in peer.requests] == [
            ("POST", "/v1/generations"),
            ("DELETE", "/v1/generations/g-1"),
        ]
    assert capsys.readouterr().err == "cancelled\n"


async def test_ctrl_c_during_a_create_call_that_is_refused_has_nothing_to_cancel() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()
    async with _generating(asked, answered, status=429) as (peer, task):
        task.cancel()
        await asyncio.sleep(0.05)
        answered.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [request.method for request in peer.requests] == ["POST"]


async def test_ctrl_c_at_a_service_that_never_answers_ends_soon_and_says_what_may_be_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_generation, "CANCEL_S", 0.1)
    asked = asyncio.Event()
    async with _generating(asked, asyncio.Event()) as (_, task):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "the generation may go on" in capsys.readouterr().err


async def _told(created: str, events: str) -> str:
    """What is said of a service that answers like this, and then is gone."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.Response(status=202, text=created, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(events.encode())
        assert request.transport is not None
        request.transport.close()
        return response

    async with serve(answer) as peer:
        with pytest.raises(ServiceFailed) as failed:
            await one_generation._run(peer.url, lambda service: service.create({"prompt": "a fox"}), as_json=True)
    return str(failed.value)


async def test_a_service_that_dies_before_the_end_leaves_the_id_to_ask_for_later() -> None:
    told = await _told('{"id": "g-1"}', 'event: submitted\ndata: {"at_ms": 0, "event": "submitted"}\n\n')
    assert told == "the connection broke before generation g-1 ended; read it there later"


@pytest.mark.parametrize(
    ("created", "events"),
    [
        ("hello", ""),
        ('{"hello": 1}', ""),
        ('{"id": "g-1"}', "data: hello\n\n"),
        ('{"id": "g-1"}', "event: generation\ndata: []\n\n"),
        ('{"id": "g-1"}', "event: generation\ndata: {}\n\n"),
    ],
)
async def test_what_is_no_generation_monitor_is_told(created: str, events: str) -> None:
    assert await _told(created, events) == "what answers there is no generation monitor"
