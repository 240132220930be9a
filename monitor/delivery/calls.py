"""Calls to the provider: each is watched, so that it has exactly one end, told apart by whose fault it was."""

import asyncio
import logging
from types import TracebackType

from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import CallResult
from monitor.delivery.identity import new_span_id
from monitor.delivery.model import ErrorKind, Failed, Pending, Ready, Stage, TraceContext, Unresolved
from monitor.delivery.ports import Reply
from monitor.delivery.trace_context import TraceHeaders, trace_headers

_logger = logging.getLogger(__name__)


class Call:
    """One call, from its begin to its end. Around it, `with` keeps what goes wrong in `error`, but our cancellation."""

    __slots__ = ("error", "is_cancelled", "reply", "span_id", "stage", "started_at_s", "trace")

    def __init__(self, stage: Stage, trace: TraceContext, started_at_s: float) -> None:
        self.stage = stage
        self.trace = trace
        self.started_at_s = started_at_s
        self.span_id = new_span_id()
        self.reply: Reply | None = None
        self.error: ChannelError | None = None
        self.is_cancelled = False

    def __enter__(self) -> None:
        """Nothing is kept yet."""

    def __exit__(
        self, _: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """A `CancelledError` that nobody asked for is a bug like any other: it must not silence a channel."""
        if isinstance(failure, ChannelError):
            self.error = failure
        elif isinstance(failure, Exception) or (isinstance(failure, asyncio.CancelledError) and not is_asked_for()):
            _logger.error("a %s call of trace %s crashed", self.stage, self.trace.trace_id, exc_info=failure)
            self.error = ChannelError(ErrorKind.CRASHED, self.stage, "a bug in this service; see its log")
        else:
            self.is_cancelled = failure is not None
        return self.error is not None

    @property
    def trace_headers(self) -> TraceHeaders:
        """What goes along with the call."""
        return trace_headers(self.trace, self.span_id)

    @property
    def answer(self) -> Reply:
        """The reply. Raises the ChannelError that came in its place."""
        if self.error is not None:
            raise self.error
        assert self.reply is not None, "a call that worked has a reply"  # noqa: S101
        return self.reply

    @property
    def result(self) -> CallResult:
        """How a poll or a resolution ended."""
        if self.is_cancelled:
            return CallResult.CANCELLED
        if self.error is not None:
            return CallResult(self.error.kind)
        match self.answer.sighting:
            case Ready():
                return CallResult.READY
            case Failed():
                return CallResult.FAILED
            case Pending() | Unresolved():
                return CallResult.PENDING

    @property
    def status(self) -> int | None:
        """The HTTP status of the end."""
        if self.error is not None:
            return self.error.status
        return None if self.reply is None else self.reply.status

    @property
    def detail(self) -> str | None:
        """What went wrong."""
        return None if self.error is None else self.error.detail


def is_asked_for() -> bool:
    """Whether a cancellation that comes up in this task was asked for by somebody."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
