"""What happened, in the past tense. The core emits facts; metrics, traces, logs and the timeline are made from them.

`at_s` and `started_at_s` are the loop's clock, in seconds. A call that began yields exactly one end, also when it was
abandoned, cancelled or crashed. `span_id` is the one that went to the provider in `traceparent`.
"""

from enum import StrEnum

from monitor.delivery.model import AssetResult, Channel, ErrorKind, Measurement, Verdict
from monitor.delivery.values import value


class CallResult(StrEnum):
    """How one poll or resolution ended."""

    READY = "ready"
    PENDING = "pending"
    FAILED = "failed"
    """The call worked; the job did not."""
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    CANCELLED = "cancelled"


class EventType(StrEnum):
    """What an event on the stream was to us."""

    RESULT = "result"
    PROGRESS = "progress"
    HEARTBEAT = "heartbeat"
    FOREIGN = "foreign"
    MALFORMED = "malformed"


class StreamResult(StrEnum):
    """How an attempt to open the stream ended."""

    OPENED = "opened"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    HTTP_ERROR = "http_error"
    WRONG_TYPE = "wrong_type"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    CANCELLED = "cancelled"


class Disconnect(StrEnum):
    """Why a stream that stood is no more. `DONE`: we closed it, because the generation had ended."""

    EOF = "eof"
    SILENCE = "silence"
    ERROR = "error"
    DONE = "done"


@value(frozen=True, slots=True)
class Accepted:
    """The generation is recorded and owned."""

    at_s: float


@value(frozen=True, slots=True)
class CreateEnded:
    """One try of the create call. `error` is None when the provider took the job; `retry_in_s`: another try follows."""

    at_s: float
    started_at_s: float
    span_id: str
    status: int | None
    error: ErrorKind | None
    cancelled: bool = False
    retry_in_s: float | None = None


@value(frozen=True, slots=True)
class Submitted:
    """The provider has the job: t = 0. `grace_s` is when polling is due."""

    at_s: float
    grace_s: float


@value(frozen=True, slots=True)
class Resumed:
    """The service restarted and took the generation up again; `submitted_at_s` may lie before the loop's own start.

    It is None when the create call had no answer yet.
    """

    at_s: float
    submitted_at_s: float | None


@value(frozen=True, slots=True)
class StreamOpened:
    """Connection `number` (from 1) stands."""

    at_s: float
    started_at_s: float
    number: int
    status: int


@value(frozen=True, slots=True)
class StreamEnded:
    """Connection `number` is over. `disconnect` is None when it never stood, `retry_in_s` when there is no next."""

    at_s: float
    started_at_s: float
    span_id: str
    number: int
    result: StreamResult
    status: int | None
    disconnect: Disconnect | None
    detail: str | None
    retry_in_s: float | None
    after_verdict: bool = False
    """It had won, or had lost and went on to be measured."""


@value(frozen=True, slots=True)
class EventSeen:
    """One event came over the stream. `progress` runs from 0 to 1."""

    at_s: float
    type: EventType
    progress: float | None = None
    first: bool = False
    """The first of its connection; `since_open_s` is then set."""
    since_open_s: float | None = None
    detail: str | None = None


@value(frozen=True, slots=True)
class PollingStarted:
    """Polling is due from now on: the grace is over, or (`early`) SSE is known to be dead."""

    at_s: float
    early: bool


@value(frozen=True, slots=True)
class PollStarted:
    """Attempt `attempt` began; 0 is the check on open."""

    at_s: float
    attempt: int
    max_attempts: int
    lingering: bool = False
    """Polling had lost, and went on to be measured."""


@value(frozen=True, slots=True)
class PollEnded:
    """Attempt `attempt` is over, with the resolution that belongs to it."""

    at_s: float
    started_at_s: float
    span_id: str
    attempt: int
    result: CallResult
    status: int | None
    detail: str | None
    lingering: bool = False
    """Polling had lost, and went on to be measured."""


@value(frozen=True, slots=True)
class ResolveEnded:
    """A file id was asked for its URL, for `channel`. `attempt` is the poll's, or the number of the try for SSE."""

    at_s: float
    started_at_s: float
    span_id: str
    channel: Channel
    attempt: int
    result: CallResult
    status: int | None
    detail: str | None


@value(frozen=True, slots=True)
class Ended:
    """The one outcome. `submitted_at_s` is None when there was no job to wait for."""

    at_s: float
    verdict: Verdict
    submitted_at_s: float | None


@value(frozen=True, slots=True)
class Disowned:
    """Another process had already recorded the outcome: this one's verdict counts for nothing."""

    at_s: float


@value(frozen=True, slots=True)
class ChannelsMeasured:
    """How each channel did on its own. Told of every delivery and expiry, also of those that were not measured."""

    at_s: float
    measurement: Measurement


@value(frozen=True, slots=True)
class AssetChecked:
    """The delivered URL was fetched as a stranger would."""

    at_s: float
    started_at_s: float
    span_id: str
    result: AssetResult
    status: int | None
    detail: str | None


@value(frozen=True, slots=True)
class ReconcilingStarted:
    """An expired generation is looked at again from now on; also after a restart."""

    at_s: float


@value(frozen=True, slots=True)
class LookedAgain:
    """Look `number` (from 1) at an expired generation is over."""

    at_s: float
    started_at_s: float
    span_id: str
    number: int
    result: CallResult
    status: int | None
    detail: str | None


@value(frozen=True, slots=True)
class Reconciled:
    """Nobody looks again. `late_s`: how long after the end of the window the asset was found; None when it was not."""

    at_s: float
    late_s: float | None


Fact = (
    Accepted
    | CreateEnded
    | Submitted
    | Resumed
    | StreamOpened
    | StreamEnded
    | EventSeen
    | PollingStarted
    | PollStarted
    | PollEnded
    | ResolveEnded
    | Ended
    | Disowned
    | ChannelsMeasured
    | AssetChecked
    | ReconcilingStarted
    | LookedAgain
    | Reconciled
)
