"""A provider that plays a script: what the stream brings and what each call answers, in seconds after t = 0."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.delivery.model import Asset, Failed, GenerationRequest, Handle, Kind, Pending, Ready, Sighting, Unresolved
from monitor.delivery.ports import Created, Cursor, Notify, Opened, Reply, Seen, StreamItem
from monitor.delivery.trace_context import TraceHeaders


@dataclass(frozen=True, slots=True)
class Say:
    """After `after_s` the script says `what`: an answer, or something that is raised."""

    after_s: float
    what: object


HANG = Say(float("inf"), None)


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to the stream: opens after `opens_after_s` (or raises `refusal`), says its items, then ends."""

    says: Sequence[Say] = ()
    opens_after_s: float = 0.0
    refusal: Exception | None = None
    stays_open: bool = True


@dataclass(slots=True)
class ScriptedProvider:
    """Plays `connections` one after the other (the last again and again), and answers call by call.

    What runs out repeats its last entry. `open_calls` is how many calls are under way: zero when all is closed.
    """

    handle: Handle
    connections: Sequence[Connection] = (Connection(),)
    polls: Sequence[Say] = (Say(0.0, Pending()),)
    resolves: Sequence[Say] = (Say(0.0, Pending()),)
    creates: Sequence[Say] = ()
    open_calls: int = 0
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("create", "subscribe", "poll", "resolve"), 0))
    polled_at_s: list[float] = field(default_factory=list)
    subscribed_at_s: list[float] = field(default_factory=list)
    traces: list[TraceHeaders] = field(default_factory=list)

    async def create(self, request: GenerationRequest, *, tries: int, trace_headers: TraceHeaders) -> Created:
        answer = await self._play("create", self.creates or (Say(0.0, self.handle),), trace_headers)
        assert isinstance(answer, Handle)
        return Created(answer, 200)

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders) -> None:
        self.subscribed_at_s.append(asyncio.get_running_loop().time())
        connection = self.connections[min(self.calls["subscribe"], len(self.connections) - 1)]
        self.calls["subscribe"] += 1
        self.traces.append(trace_headers)
        self.open_calls += 1
        try:
            await _play_connection(connection, notify)
        finally:
            self.open_calls -= 1

    async def poll(self, handle: Handle, *, trace_headers: TraceHeaders) -> Reply:
        self.polled_at_s.append(asyncio.get_running_loop().time())
        return Reply(_sighting(await self._play("poll", self.polls, trace_headers)), 200)

    async def resolve(self, handle: Handle, file_id: str, *, trace_headers: TraceHeaders) -> Reply:
        return Reply(_sighting(await self._play("resolve", self.resolves, trace_headers)), 200)

    async def _play(self, call: str, script: Sequence[Say], trace_headers: TraceHeaders) -> object:
        say = script[min(self.calls[call], len(script) - 1)]
        self.calls[call] += 1
        self.traces.append(trace_headers)
        self.open_calls += 1
        try:
            await _wait(say.after_s)
        finally:
            self.open_calls -= 1
        if isinstance(say.what, Exception):
            raise say.what
        return say.what


def _sighting(answer: object) -> Sighting:
    assert isinstance(answer, Ready | Pending | Unresolved | Failed)
    return answer


async def _play_connection(connection: Connection, notify: Notify) -> None:
    await _wait(connection.opens_after_s)
    if connection.refusal is not None:
        raise connection.refusal
    notify(Opened(200))
    for say in connection.says:
        await _wait(say.after_s)
        if isinstance(say.what, Exception):
            raise say.what
        notify(_item(say.what))
    if connection.stays_open:
        await _wait(float("inf"))


def _item(what: object) -> StreamItem:
    return Seen(what) if isinstance(what, Ready | Pending | Unresolved | Failed) else what  # type: ignore[return-value]


async def _wait(seconds: float) -> None:
    """Sleep; for ever when infinite."""
    if seconds == float("inf"):
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(seconds)


def ready(name: str = "a", kind: Kind = Kind.IMAGE) -> Ready:
    """A usable asset, told apart by `name`."""
    return Ready(Asset(f"https://cdn.test/{name}.webp", kind))
