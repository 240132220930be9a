"""What the domain needs from outside: a provider to talk to, and somebody who listens to facts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from monitor.delivery.facts import Fact
from monitor.delivery.model import Generation, GenerationRequest, Handle, Sighting
from monitor.delivery.trace_context import TraceHeaders
from monitor.delivery.values import value


@dataclass(slots=True)
class Cursor:
    """Where an event stream stands, kept over reconnects: `Last-Event-ID` and the server's `retry:`, in seconds."""

    last_event_id: str = ""
    retry_s: float | None = None


@value(frozen=True, slots=True)
class Opened:
    """The stream stands: events published from now on reach us."""

    status: int


@value(frozen=True, slots=True)
class Heartbeat:
    """A sign of life without content."""


@value(frozen=True, slots=True)
class Progress:
    """How far the render is, from 0 to 1."""

    ratio: float


@value(frozen=True, slots=True)
class Foreign:
    """An event about something else, or of a type that says nothing about results."""


@value(frozen=True, slots=True)
class Malformed:
    """An event that could not be understood; it is skipped and the stream lives on."""

    detail: str


@value(frozen=True, slots=True)
class Seen:
    """An event about our generation's asset or failure."""

    sighting: Sighting


StreamItem = Opened | Heartbeat | Progress | Foreign | Malformed | Seen
Notify = Callable[[StreamItem], None]


@value(frozen=True, slots=True)
class Reply:
    """What a status call or a resolution showed, with its HTTP status."""

    sighting: Sighting
    status: int


@value(frozen=True, slots=True)
class Created:
    """The provider took the job, with the HTTP status of its answer."""

    handle: Handle
    status: int


class Provider(Protocol):
    """A backend that makes media asynchronously. Every call is one try over the network, and raises `ChannelError`.

    `trace_headers` are sent along as they are. Cancellation closes what the call opened. Every call is bounded in
    time by the adapter's own settings, but for an open stream, which is bounded by its silence limit.
    """

    async def create(self, request: GenerationRequest, *, tries: int, trace_headers: TraceHeaders) -> Created:
        """Ask for the job. `tries` is 1 the first time; a later try uses a new seed."""
        ...

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders) -> None:
        """Hold one connection to the event stream and `notify` of each item; return when the server ends it."""
        ...

    async def poll(self, handle: Handle, *, trace_headers: TraceHeaders) -> Reply:
        """Ask once how the job stands."""
        ...

    async def resolve(self, handle: Handle, file_id: str, *, trace_headers: TraceHeaders) -> Reply:
        """Ask once for the URL of a file. `Pending` when it is not ready, or is not of the handle's kind."""
        ...


class Observer(Protocol):
    """Called on the event loop, once per fact, in order. Must return at once: what is slow queues inside."""

    def __call__(self, generation: Generation, fact: Fact, /) -> None: ...
