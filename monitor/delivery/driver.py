"""Where the race meets tasks: does what the race decides, tells it how that went, and closes everything at the end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Concatenate, ParamSpec

from monitor.delivery.calls import Call
from monitor.delivery.closing import close_calls
from monitor.delivery.emitting import Emit, unharmed
from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import PollEnded, PollingStarted, PollStarted, ResolveEnded, StreamOpened
from monitor.delivery.instructions import Instruction, OpenStream, Poll, Resolve
from monitor.delivery.model import (
    Channel,
    Failed,
    Handle,
    Measurement,
    Pending,
    Ready,
    Reason,
    Sighting,
    Stage,
    TraceContext,
    Unresolved,
    Verdict,
)
from monitor.delivery.ports import Cursor, Opened, Provider, Reply, Seen, StreamItem
from monitor.delivery.race import Race
from monitor.delivery.stream_facts import Connection

_logger = logging.getLogger(__name__)
_Told = ParamSpec("_Told")


class Delivery:
    """Drives one race to its verdict. Await `run` once, and then `linger` once, or `close`.

    `cancel` may come at any time from the same loop.
    """

    def __init__(self, provider: Provider, handle: Handle, race: Race, trace: TraceContext, emit: Emit) -> None:
        """`emit` takes each fact, at once. If it raises, that is logged and the delivery goes on."""
        self._provider = provider
        self._handle = handle
        self._race = race
        self._trace = trace
        self._emit = unharmed(emit)
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._tasks: dict[asyncio.Task[None], Channel] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._cursor = Cursor()
        self._polling_announced = False

    @property
    def attempts(self) -> int:
        """Polls begun so far."""
        return self._race.attempts

    @property
    def is_lingering(self) -> bool:
        """Whether the channel that lost goes on, to be measured."""
        return self._race.lingering is not None

    @property
    def measurement(self) -> Measurement | None:
        """How both channels did, once that is known."""
        return self._race.measurement

    @property
    def window_ends_at_s(self) -> float:
        """When it is over at the latest, however it goes."""
        return self._race.window_ends_at_s

    async def run(self) -> Verdict:
        """Until there is a verdict; then only a channel that lingers stays open, and none if this raises."""
        try:
            self._advance()
            await self._over
            loser = self._race.lingering
            of_others = [task for task, channel in self._tasks.items() if channel is not loser]
            await close_calls(of_others, self._trace.trace_id)
            if not self.is_lingering:  # any more: the loser may be through while the winner is closed
                await self.close()
        except BaseException:
            await self.close()
            raise
        verdict = self._race.verdict
        assert verdict is not None, "a race is over when it has a verdict"  # noqa: S101
        return verdict

    async def linger(self) -> None:
        """Until the channel that lost is through. Whatever happens, nothing that was opened stays open."""
        try:
            await self._finished
        finally:
            await self.close()

    def cancel(self) -> None:
        """The caller wants it no more; `run` returns soon. No effect after the end."""
        self._tell(self._race.cancel)
        self._advance()

    def _tell(self, told: Callable[Concatenate[float, _Told], None], *args: _Told.args, **kwargs: _Told.kwargs) -> None:
        """Tell the race what happened now. `_advance` then does what follows from it."""
        try:
            told(self._loop.time(), *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - told as the outcome, and logged
            self._crash(error)

    def _advance(self) -> None:
        """Do what is due, and set the one timer."""
        if self._finished.done():
            return
        now_s = self._loop.time()
        try:
            for instruction in self._race.tick(now_s):
                self._spawn(instruction, now_s)
        except Exception as error:  # noqa: BLE001 - told as the outcome, and logged
            self._crash(error)
        if self._timer is not None:
            self._timer.cancel()
        if self._race.verdict is not None and not self._over.done():
            self._over.set_result(None)
        if self._race.is_finished:
            self._finished.set_result(None)
        else:
            self._timer = self._loop.call_at(self._race.wake_at_s, self._advance)

    def _crash(self, error: Exception) -> None:
        """A bug in the race ends the delivery as crashed, never in silence."""
        _logger.error("the race crashed; trace %s", self._trace.trace_id, exc_info=error)
        self._race.cancel(self._loop.time(), Reason.CRASHED, type(error).__name__)
        self._race.lingering = None  # what is broken measures nothing

    def _spawn(self, instruction: Instruction, now_s: float) -> None:
        channel = Channel.POLLING if isinstance(instruction, Poll) else Channel.SSE
        task = self._loop.create_task(self._begin(instruction, now_s))
        self._tasks[task] = channel
        task.add_done_callback(self._tasks.pop)

    def _begin(self, instruction: Instruction, now_s: float) -> Coroutine[None, None, None]:
        match instruction:
            case OpenStream(number):
                return self._stream(number, now_s)
            case Poll(attempt):
                return self._poll(attempt, now_s, lingering=self._race.lingering is Channel.POLLING)
            case Resolve(file_id, number):
                return self._resolve(file_id, number)

    async def _stream(self, number: int, started_at_s: float) -> None:
        call = Call(Stage.SUBSCRIBE, self._trace, started_at_s)
        connection = Connection(number, started_at_s, call.span_id)
        notify = partial(self._on_item, connection)
        try:
            with call:
                await self._provider.subscribe(self._handle, self._cursor, notify, trace_headers=call.trace_headers)
            self._tell(self._race.stream_ended, call.error, self._cursor.retry_s)
        finally:
            self._emit(
                connection.ended(
                    self._loop.time(),
                    call.error,
                    cancelled=call.is_cancelled,
                    due_at_s=self._race.stream_due_at_s,
                    after_verdict=self._race.verdict is not None,
                )
            )
        self._advance()

    def _on_item(self, connection: Connection, item: StreamItem) -> None:
        now_s = self._loop.time()
        if isinstance(item, Opened):
            connection.opened_at_s, connection.status = now_s, item.status
            self._emit(StreamOpened(now_s, connection.started_at_s, connection.number, item.status))
            self._tell(self._race.stream_opened)
            self._advance()
            return
        self._emit(connection.event(now_s, item))
        if isinstance(item, Seen):
            self._tell(self._race.saw, Channel.SSE, item.sighting)
            self._advance()

    async def _poll(self, attempt: int, started_at_s: float, *, lingering: bool) -> None:
        call = Call(Stage.POLL, self._trace, started_at_s)
        self._announce_poll(attempt, started_at_s, lingering=lingering)
        try:
            with call:
                call.reply = await self._provider.poll(self._handle, trace_headers=call.trace_headers)
                if isinstance(call.reply.sighting, Unresolved):
                    call.reply = await self._ask_for_url(call.reply.sighting.file_id, Channel.POLLING, attempt)
        finally:
            at_s, result, lingering = self._loop.time(), call.result, self._race.lingering is Channel.POLLING
            self._emit(
                PollEnded(at_s, started_at_s, call.span_id, attempt, result, call.status, call.detail, lingering)
            )
        if call.error is None:
            self._tell(self._race.saw, Channel.POLLING, call.answer.sighting)
        else:
            self._tell(self._race.poll_failed, call.error)
        self._advance()

    def _announce_poll(self, attempt: int, now_s: float, *, lingering: bool) -> None:
        if attempt and not self._polling_announced and not lingering:
            self._polling_announced = True
            self._emit(PollingStarted(now_s, self._race.polling_is_early))
        self._emit(PollStarted(now_s, attempt, self._race.policy.max_attempts, lingering))

    async def _resolve(self, file_id: str, number: int) -> None:
        retry_after_s: float | None = None
        sighting: Sighting = Pending()
        try:
            sighting = (await self._ask_for_url(file_id, Channel.SSE, number)).sighting
        except ChannelError as error:
            retry_after_s = error.retry_after_s
        if isinstance(sighting, Ready | Failed):
            self._tell(self._race.saw, Channel.SSE, sighting)
        else:
            self._tell(self._race.resolve_missed, file_id, retry_after_s)
        self._advance()

    async def _ask_for_url(self, file_id: str, channel: Channel, attempt: int) -> Reply:
        """One resolution, with the fact of its end. Raises ChannelError, also for a bug of ours."""
        call = Call(Stage.RESOLVE, self._trace, self._loop.time())
        try:
            with call:
                call.reply = await self._provider.resolve(self._handle, file_id, trace_headers=call.trace_headers)
        finally:
            at_s, started_at_s, result = self._loop.time(), call.started_at_s, call.result
            self._emit(
                ResolveEnded(at_s, started_at_s, call.span_id, channel, attempt, result, call.status, call.detail)
            )
        return call.answer

    async def close(self) -> None:
        """Close everything at once; the channel that lingers is not measured then."""
        if not self._finished.done():
            self._finished.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        await close_calls(tuple(self._tasks), self._trace.trace_id)
