"""Publish and subscribe without history, as Redis pub/sub behind the real provider: what nobody hears is gone."""

import asyncio
from collections import defaultdict, deque
from typing import Final

from aiohttp import web

MAX_QUEUED: Final = 20_000


class Subscriber:
    """One open stream. Frames queue here until they are written; `close` ends it, `cut` breaks it in the middle."""

    def __init__(self, channel: str, *, is_mute: bool = False, is_bytewise: bool = False) -> None:
        self.channel = channel
        self.is_mute = is_mute
        self._is_bytewise = is_bytewise
        self._frames: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._is_closed = False
        self._is_cut = False

    def put(self, frame: bytes) -> None:
        """Queue a frame; a listener who is far too slow loses it."""
        if not self.is_mute and len(self._frames) < MAX_QUEUED:
            self._frames.append(frame)
            self._woken.set()

    def close(self) -> None:
        """End the stream cleanly after what is queued."""
        self._is_closed = True
        self._woken.set()

    def cut(self) -> None:
        """Break the connection after what is queued."""
        self._is_cut = True
        self._woken.set()

    async def write_to(self, response: web.StreamResponse, request: web.Request) -> None:
        """Write frames until the stream is closed or the listener has gone."""
        while True:
            while self._frames:
                await self._write(response, self._frames.popleft())
            if self._is_cut and request.transport is not None:
                await asyncio.sleep(0.05)  # what was written is on its way before the connection breaks
                request.transport.abort()
            if self._is_closed or self._is_cut:
                return
            self._woken.clear()
            await self._woken.wait()

    async def _write(self, response: web.StreamResponse, frame: bytes) -> None:
        if not self._is_bytewise:
            await response.write(frame)
            return
        for at in range(len(frame)):
            await response.write(frame[at : at + 1])
            await asyncio.sleep(0)


class Broker:
    """Channels and who listens to them now."""

    def __init__(self) -> None:
        self._listening: defaultdict[str, set[Subscriber]] = defaultdict(set)

    @property
    def open_streams(self) -> int:
        """How many listen now."""
        return sum(map(len, self._listening.values()))

    def subscribe(self, subscriber: Subscriber) -> None:
        """From now on it hears."""
        self._listening[subscriber.channel].add(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """From now on it does not."""
        listening = self._listening[subscriber.channel]
        listening.discard(subscriber)
        if not listening:
            del self._listening[subscriber.channel]

    def listeners(self, channel: str) -> list[Subscriber]:
        """Who listens to `channel` now."""
        return list(self._listening.get(channel, ()))

    def publish(self, channel: str, frame: bytes) -> int:
        """Tell all who listen now; how many that were."""
        listeners = self.listeners(channel)
        for subscriber in listeners:
            subscriber.put(frame)
        return len(listeners)

    def tell_all(self, frame: bytes) -> None:
        """A heartbeat for everybody."""
        for listeners in list(self._listening.values()):
            for subscriber in listeners:
                subscriber.put(frame)

    def close_all(self) -> None:
        """End all streams."""
        for listeners in list(self._listening.values()):
            for subscriber in listeners:
                subscriber.close()
