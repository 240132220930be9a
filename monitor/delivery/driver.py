"""Where the race meets tasks: does what the race decides, tells it how that went, and closes everything at the end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import (
    CallResult,
    Fact,
    PollEnded,
    PollingStarted,
    PollStarted,
    ResolveEnded,
    StreamOpened,
)
from monitor.delivery.identity import new_span_id, traceparent
from monitor.delivery.model import (
    Channel,
    ErrorKind,
    Failed,
    Handle,
    Pending,
    Ready,
    Reason,
    Sighting,
    Stage,
    TraceContext,
    Unresolved,
    Verdict,
)
from monitor.delivery.ports import (
    Cursor,
    Opened,
    Provider,
    Reply,
    Seen,
    StreamItem,
)
from monitor.delivery.race import Instruction, OpenStream, Poll, Race, Resolve
from monitor.delivery.stream_facts import Connection

_CLOSING_S: Final = 5.0
"""How long a cancelled call may take to let go before it is left behind, loudly."""

_logger = logging.getLogger(__name__)


class Delivery:
    """Drives one race to its verdict. Await `run` once; `cancel` may come at any time from the same loop."""

    def __init__(
        self, provider: Provider, handle: Handle, race: Race, trace: TraceContext, emit: Callable[[Fact], None]
    ) -> None:
        """`emit` takes each fact, at once, and must not raise."""
        self._provider = provider
        self._handle = handle
        self._race = race
        self._trace = trace
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._cursor = Cursor()
        self._polling_announced = False

    async def run(self) -> Verdict:
        """Until there is a verdict. Whatever happens, also cancellation, nothing that was opened stays open."""
        try:
            self._advance()
            await self._over
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._close_tasks()
        verdict = self._race.verdict
        assert verdict is not None, "a race is over when it has a verdict"  # noqa: S101
        return verdict

    def cancel(self) -> None:
        """The caller wants it no more; `run` returns soon. No effect after the end."""
        self._race.cancel(self._loop.time())
        self._advance()

    def _advance(self) -> None:
        """Do what is due, and set the one timer. A bug in here ends the delivery as crashed, never in silence."""
        if self._over.done():
            return
        try:
            now_s = self._loop.time()
            for instruction in self._race.tick(now_s):
                self._spawn(self._attempt(instruction, now_s))
        except Exception as error:
            _logger.exception("the race crashed; trace %s", self._trace.trace_id)
            self._race.cancel(self._loop.time(), Reason.CRASHED, type(error).__name__)
        if self._timer is not None:
            self._timer.cancel()
        if self._race.verdict is None:
            self._timer = self._loop.call_at(self._race.wake_at_s, self._advance)
        else:
            self._over.set_result(None)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _attempt(self, instruction: Instruction, now_s: float) -> Coroutine[None, None, None]:
        match instruction:
            case OpenStream(number):
                return self._stream(number, now_s)
            case Poll(attempt):
                return self._poll(attempt, now_s)
            case Resolve(file_id, number):
                return self._resolve(file_id, number)

    def _announce_poll(self, attempt: int, now_s: float) -> None:
        if attempt and not self._polling_announced:
            self._polling_announced = True
            self._emit(PollingStarted(now_s, self._race.polling_is_early))
        self._emit(PollStarted(now_s, attempt, self._race.policy.max_attempts))

    async def _stream(self, number: int, started_at_s: float) -> None:
        connection = Connection(number, started_at_s, new_span_id())
        error: ChannelError | None = _crash(Stage.SUBSCRIBE)
        cancelled = False
        try:
            await self._provider.subscribe(
                self._handle,
                self._cursor,
                lambda item: self._on_item(connection, item),
                traceparent=traceparent(self._trace, connection.span_id),
            )
            error = None
        except ChannelError as failure:
            error = failure
        except asyncio.CancelledError:
            cancelled = True
            raise
        except Exception:
            _logger.exception("the stream of trace %s crashed", self._trace.trace_id)
        finally:
            now_s = self._loop.time()
            if not cancelled:
                self._race.stream_ended(now_s, error, self._cursor.retry_s)
            self._emit(connection.ended(now_s, error, cancelled=cancelled, due_at_s=self._race.stream_due_at_s))
            self._advance()

    def _on_item(self, connection: "Connection", item: StreamItem) -> None:
        now_s = self._loop.time()
        if isinstance(item, Opened):
            connection.opened_at_s, connection.status = now_s, item.status
            self._emit(StreamOpened(now_s, connection.started_at_s, connection.number, item.status))
            self._race.stream_opened(now_s)
            self._advance()
            return
        self._emit(connection.event(now_s, item))
        if isinstance(item, Seen):
            self._race.saw(now_s, Channel.SSE, item.sighting)
            self._advance()

    async def _poll(self, attempt: int, started_at_s: float) -> None:
        span_id = new_span_id()
        result, reply, error = CallResult.CRASHED, None, None
        self._announce_poll(attempt, started_at_s)
        try:
            reply = await self._provider.poll(self._handle, traceparent=traceparent(self._trace, span_id))
            if isinstance(reply.sighting, Unresolved):
                reply = await self._ask_for_url(reply.sighting.file_id, Channel.POLLING, attempt)
            result = _result_of(reply.sighting)
        except ChannelError as failure:
            result, error = CallResult(failure.kind), failure
        except asyncio.CancelledError:
            result = CallResult.CANCELLED
            raise
        except Exception:
            _logger.exception("attempt %d of trace %s crashed", attempt, self._trace.trace_id)
        finally:
            now_s = self._loop.time()
            status, detail = _status_and_detail(reply, error)
            self._emit(PollEnded(now_s, started_at_s, span_id, attempt, result, status, detail))
            if result is not CallResult.CANCELLED:
                if reply is not None and error is None and result is not CallResult.CRASHED:
                    self._race.saw(now_s, Channel.POLLING, reply.sighting)
                else:
                    self._race.poll_failed(now_s, error or _crash(Stage.POLL))
                self._advance()

    async def _resolve(self, file_id: str, number: int) -> None:
        retry_after_s: float | None = None
        sighting: Sighting = Pending()
        try:
            sighting = (await self._ask_for_url(file_id, Channel.SSE, number)).sighting
        except ChannelError as error:
            retry_after_s = error.retry_after_s
        except asyncio.CancelledError:
            raise
        except Exception:
            _logger.exception("a resolution of trace %s crashed", self._trace.trace_id)
        now_s = self._loop.time()
        if isinstance(sighting, Ready | Failed):
            self._race.saw(now_s, Channel.SSE, sighting)
        else:
            self._race.resolve_missed(now_s, file_id, retry_after_s)
        self._advance()

    async def _ask_for_url(self, file_id: str, channel: Channel, attempt: int) -> Reply:
        """One resolution, with the fact of its end."""
        span_id, started_at_s = new_span_id(), self._loop.time()
        result, reply, error = CallResult.CRASHED, None, None
        try:
            reply = await self._provider.resolve(self._handle, file_id, traceparent=traceparent(self._trace, span_id))
            result = _result_of(reply.sighting)
        except ChannelError as failure:
            result, error = CallResult(failure.kind), failure
            raise
        except asyncio.CancelledError:
            result = CallResult.CANCELLED
            raise
        finally:
            status, detail = _status_and_detail(reply, error)
            now_s = self._loop.time()
            self._emit(ResolveEnded(now_s, started_at_s, span_id, channel, attempt, result, status, detail))
        return reply

    async def _close_tasks(self) -> None:
        """Cancel what still runs and wait for it; a call that will not let go cannot hold the caller up."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=_CLOSING_S)
            if stuck:
                _logger.error("%d calls of trace %s ignore their cancellation", len(stuck), self._trace.trace_id)


def _result_of(sighting: Sighting) -> CallResult:
    match sighting:
        case Ready():
            return CallResult.READY
        case Failed():
            return CallResult.FAILED
        case Pending() | Unresolved():
            return CallResult.PENDING


def _status_and_detail(reply: Reply | None, error: ChannelError | None) -> tuple[int | None, str | None]:
    if error is not None:
        return error.status, error.detail
    return (None if reply is None else reply.status), None


def _crash(stage: Stage) -> ChannelError:
    """What the race is told of our own bug in a channel."""
    return ChannelError(ErrorKind.CRASHED, stage, "a bug in this service; see its log")
