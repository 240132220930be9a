"""The connections of the adapter's client: kept for the next call, closed in time, encrypted, given up."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, GenerationRequest, Pending
from monitor.delivery.ports import Cursor
from monitor.providers.superduper import SuperDuperProvider
from tests.peers import FILE, TRACE_HEADERS, a_file, always, never, provider_at, serve
from tests.programs import require

pytestmark = pytest.mark.usefixtures("no_stray_tasks")

virtual = pytest.mark.virtual_time(settle_s=0.05)

SERVERS_PATIENCE_S = 5.0
"""After which common servers close a connection over which nothing is asked."""


async def poll(provider: SuperDuperProvider) -> object:
    return (await provider.poll(FILE, trace_headers=TRACE_HEADERS)).sighting


@dataclass
class Keeping:
    """A server that keeps its connections; those over which `gone_after` calls came it closes at the next, or at once
    where it `is_hasty`.
    """

    gone_after: int
    is_hasty: bool
    body: bytes
    url: str = ""
    asked: int = 0
    opened: int = 0
    closed: int = 0
    is_closed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[object] | None] = field(default_factory=set)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.tasks.add(asyncio.current_task())
        try:
            for number in range(self.gone_after + (not self.is_hasty)):
                await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                if number < self.gone_after:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self.body), self.body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        self.closed += 1
        self.is_closed.set()


@asynccontextmanager
async def keeping(
    gone_after: int = 1_000, *, is_hasty: bool = False, answer: object = a_file()
) -> AsyncIterator[Keeping]:
    peer = Keeping(gone_after, is_hasty, orjson.dumps(answer))
    async with await asyncio.start_server(peer.answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        peer.url = f"http://{host}:{port}"
        yield peer
    await asyncio.wait([task for task in peer.tasks if task is not None], timeout=10)


@virtual
async def test_what_is_kept_is_closed_with_the_client() -> None:
    async with keeping() as peer:
        async with provider_at(peer.url) as provider:
            await poll(provider)
            assert peer.closed == 0
        async with asyncio.timeout(1):
            await peer.is_closed.wait()
    assert (peer.opened, peer.closed) == (1, 1)


@virtual
async def test_what_is_kept_is_closed_before_its_server_would() -> None:
    async with keeping() as peer, provider_at(peer.url) as provider:
        await asyncio.gather(poll(provider), poll(provider))
        await asyncio.sleep(SERVERS_PATIENCE_S)
        assert (peer.opened, peer.closed) == (2, 2)
        await poll(provider)
        await asyncio.sleep(2)
        await asyncio.gather(poll(provider), poll(provider))
        await asyncio.sleep(SERVERS_PATIENCE_S)
        assert (peer.opened, peer.closed) == (4, 4)


@virtual
async def test_a_create_is_not_sent_over_a_connection_that_its_server_has_closed_meanwhile() -> None:
    async with keeping(gone_after=1, is_hasty=True, answer=[a_file()]) as peer, provider_at(peer.url) as provider:
        for _ in range(2):
            request = GenerationRequest("a fox", "m")
            assert (await provider.create(request, tries=1, trace_headers=TRACE_HEADERS)).handle == FILE
            await asyncio.sleep(1)
    assert (peer.opened, peer.asked) == (2, 2)


async def test_a_status_call_that_met_a_closed_connection_is_asked_once_more_on_a_new_one() -> None:
    async with keeping(gone_after=1) as peer, provider_at(peer.url) as provider:
        await asyncio.gather(poll(provider), poll(provider))
        assert isinstance(await poll(provider), Pending)
        assert (peer.opened, peer.asked) == (3, 4)


@virtual
async def test_each_kind_of_call_has_its_own_patience() -> None:
    async def given_up_after_s(call: Coroutine[Any, Any, object]) -> float:
        began_at_s = asyncio.get_running_loop().time()
        with pytest.raises(ChannelError) as caught:
            await call
        assert caught.value.kind is ErrorKind.TIMEOUT
        return asyncio.get_running_loop().time() - began_at_s

    limits = {"connect_timeout": 7.0, "request_timeout": 11.0, "create_timeout": 23.0}
    async with serve(never) as peer, provider_at(peer.url, **limits) as provider:
        create = provider.create(GenerationRequest("a fox", "m"), tries=1, trace_headers=TRACE_HEADERS)
        stream = provider.subscribe(FILE, Cursor(), lambda _: None, trace_headers=TRACE_HEADERS)
        assert await given_up_after_s(create) == pytest.approx(23.0)
        assert await given_up_after_s(poll(provider)) == pytest.approx(11.0)
        assert await given_up_after_s(stream) == pytest.approx(7.0)


async def test_a_create_at_a_name_that_nobody_has_made_no_job() -> None:
    async with provider_at("http://nowhere.invalid") as provider:
        with pytest.raises(ChannelError) as caught:
            await provider.create(GenerationRequest("a fox", "m"), tries=1, trace_headers=TRACE_HEADERS)
    error = caught.value
    assert (error.kind, error.connected, error.may_have_effect) == (ErrorKind.UNAVAILABLE, False, False)


# TLS


@virtual
async def test_who_takes_a_call_and_never_greets_is_given_up_and_was_asked_nothing() -> None:
    async with keeping() as peer, provider_at(peer.url.replace("http:", "https:"), connect_timeout=7.0) as provider:
        with pytest.raises(ChannelError) as caught:
            await provider.create(GenerationRequest("a fox", "m"), tries=1, trace_headers=TRACE_HEADERS)
        assert asyncio.get_running_loop().time() == pytest.approx(7.0)
    error = caught.value
    assert (error.kind, error.connected, error.may_have_effect) == (ErrorKind.TIMEOUT, False, False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for `localhost`, signed by itself, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    key, signed, both = folder / "key.pem", folder / "signed.pem", folder / "both.pem"
    openssl = (
        require("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-days", "2", "-keyout", str(key), "-out", str(signed))
    subprocess.run((*openssl, *names, *files), check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return both


@asynccontextmanager
async def serve_tls(certificate: Path) -> AsyncIterator[int]:
    """A provider behind TLS: its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", always(a_file()))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_provider_whose_certificate_is_trusted_is_asked_over_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serve_tls(certificate) as port, provider_at(f"https://localhost:{port}") as provider:
        assert isinstance(await poll(provider), Pending)


@pytest.mark.parametrize(("host", "is_trusted"), [("localhost", False), ("127.0.0.1", True)])
async def test_a_certificate_of_somebody_else_gets_no_token(
    host: str, is_trusted: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serve_tls(certificate) as port, provider_at(f"https://{host}:{port}") as provider:
        with pytest.raises(ChannelError, match=r"(?i)certificate") as caught:
            await poll(provider)
    assert (caught.value.kind, caught.value.connected) == (ErrorKind.UNAVAILABLE, False)
