"""Makes facts of what happens on one connection to the event stream."""

from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import Disconnect, EventSeen, EventType, StreamEnded, StreamResult
from monitor.delivery.model import ErrorKind, Pending
from monitor.delivery.ports import Foreign, Heartbeat, Malformed, Progress, Seen


class Connection:
    """What is known of one connection until its end."""

    __slots__ = ("number", "opened_at_s", "span_id", "started_at_s", "status", "was_first_seen")

    def __init__(self, number: int, started_at_s: float, span_id: str) -> None:
        self.number = number
        self.started_at_s = started_at_s
        self.span_id = span_id
        self.opened_at_s: float | None = None
        self.status: int | None = None
        self.was_first_seen = False

    def event(self, now_s: float, item: Heartbeat | Progress | Foreign | Malformed | Seen) -> EventSeen:
        """What came over it, as a fact. Of the first it is also told how long after the opening it came."""
        first, self.was_first_seen = not self.was_first_seen, True
        since_open_s = now_s - self.opened_at_s if first and self.opened_at_s is not None else None
        match item:
            case Seen(sighting):
                type_ = EventType.PROGRESS if isinstance(sighting, Pending) else EventType.RESULT
                return EventSeen(now_s, type_, None, first, since_open_s)
            case Progress(ratio):
                return EventSeen(now_s, EventType.PROGRESS, ratio, first, since_open_s)
            case Heartbeat():
                return EventSeen(now_s, EventType.HEARTBEAT, None, first, since_open_s)
            case Foreign():
                return EventSeen(now_s, EventType.FOREIGN, None, first, since_open_s)
            case Malformed(detail):
                return EventSeen(now_s, EventType.MALFORMED, None, first, since_open_s, detail)

    def ended(
        self,
        now_s: float,
        error: ChannelError | None,
        *,
        cancelled: bool,
        due_at_s: float | None,
        after_verdict: bool,
    ) -> StreamEnded:
        """Its end, as a fact. `due_at_s` is when the next is opened, None when there is none."""
        result = StreamResult.OPENED if self.opened_at_s is not None else _opening_result(error, cancelled=cancelled)
        return StreamEnded(
            at_s=now_s,
            started_at_s=self.started_at_s,
            span_id=self.span_id,
            number=self.number,
            result=result,
            status=self.status if error is None or error.status is None else error.status,
            disconnect=None if self.opened_at_s is None else _disconnect(error, cancelled=cancelled),
            detail=None if error is None or cancelled else error.detail,
            retry_in_s=None if due_at_s is None or cancelled else due_at_s - now_s,
            after_verdict=after_verdict,
        )


def _opening_result(error: ChannelError | None, *, cancelled: bool) -> StreamResult:
    """Why the stream never stood."""
    if cancelled:
        return StreamResult.CANCELLED
    if error is None:
        return StreamResult.HTTP_ERROR
    match error.kind:
        case ErrorKind.UNAUTHORIZED | ErrorKind.NOT_FOUND | ErrorKind.TIMEOUT | ErrorKind.CRASHED:
            return StreamResult(error.kind)
        case ErrorKind.MALFORMED:
            return StreamResult.WRONG_TYPE
        case _:
            return StreamResult.REFUSED if error.status is None else StreamResult.HTTP_ERROR


def _disconnect(error: ChannelError | None, *, cancelled: bool) -> Disconnect:
    if cancelled:
        return Disconnect.DONE
    if error is None:
        return Disconnect.EOF
    return Disconnect.SILENCE if error.kind is ErrorKind.TIMEOUT else Disconnect.ERROR
