"""Publish and subscribe without history, as Redis pub/sub behind the real provider: what nobody hears is gone."""

import asyncio
from collections import defaultdict, deque
from itertools import cycle
from typing import Final

from aiohttp import web

MAX_QUEUED_BYTES: Final = 32 * 1024 * 1024
BEATS: Final = 16
"""Into so many groups streams are put for heartbeats, so that thousands of them are not all written to at once."""
_ON_ITS_WAY_S: Final = 0.05


class Subscriber:
    """One open stream. Frames queue here until they are written; `close` ends it, `cut` breaks it in the middle."""

    __slots__ = (
        "_frames",
        "_is_bytewise",
        "_is_closed",
        "_is_cut",
        "_queued_bytes",
        "_woken",
        "beat",
        "channel",
        "is_mute",
    )

    def __init__(self, channel: str, *, is_mute: bool = False, is_bytewise: bool = False) -> None:
        self.channel = channel
        self.is_mute = is_mute
        self.beat = 0
        self._is_bytewise = is_bytewise
        self._frames: deque[bytes] = deque()
        self._queued_bytes = 0
        self._woken = asyncio.Event()
        self._is_closed = False
        self._is_cut = False

    def put(self, frame: bytes) -> None:
        """Queue a frame; a listener who is far too slow loses it."""
        if not self.is_mute and self._queued_bytes + len(frame) <= MAX_QUEUED_BYTES:
            self._frames.append(frame)
            self._queued_bytes += len(frame)
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
        """Write frames until the stream is closed or cut. Raises ConnectionError when the listener has gone."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                self._queued_bytes -= len(frame)
                await self._write(response, frame)
            if self._is_cut and request.transport is not None:
                await asyncio.sleep(_ON_ITS_WAY_S)  # what was written leaves before the connection breaks
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
        self._beats: list[set[Subscriber]] = [set() for _ in range(BEATS)]
        self._next_beat = cycle(range(BEATS))

    @property
    def open_streams(self) -> int:
        """How many listen now."""
        return sum(map(len, self._listening.values()))

    def subscribe(self, subscriber: Subscriber) -> None:
        """From now on it hears."""
        self._listening[subscriber.channel].add(subscriber)
        subscriber.beat = next(self._next_beat)
        self._beats[subscriber.beat].add(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """From now on it does not. Once more does no harm."""
        self._beats[subscriber.beat].discard(subscriber)
        listening = self._listening.get(subscriber.channel)
        if listening is None:
            return
        listening.discard(subscriber)
        if not listening:
            del self._listening[subscriber.channel]

    def publish(self, channel: str, frame: bytes) -> int:
        """Tell all who listen now; how many that were."""
        listeners = self._listening.get(channel, ())
        for subscriber in listeners:
            subscriber.put(frame)
        return len(listeners)

    def drop(self, channel: str, *, in_the_middle: bool) -> None:
        """End or cut all streams of a channel. They hear nothing that is published from now on."""
        for subscriber in list(self._listening.get(channel, ())):
            self.unsubscribe(subscriber)
            if in_the_middle:
                subscriber.cut()
            else:
                subscriber.close()

    def beat(self, number: int, frame: bytes) -> None:
        """A heartbeat for one group of streams."""
        for subscriber in self._beats[number]:
            subscriber.put(frame)

    def close_all(self) -> None:
        """End all streams."""
        for listeners in self._listening.values():
            for subscriber in listeners:
                subscriber.close()
