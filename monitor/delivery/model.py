"""The words of the domain as types: generation, handle, asset, sighting, verdict, and their closed sets."""

from dataclasses import field
from enum import StrEnum
from typing import Any, Final

from monitor.delivery.values import value


class Channel(StrEnum):
    """How an asset reached us. `NONE` only where nothing delivered."""

    SSE = "sse"
    POLLING = "polling"
    NONE = "none"


class ChannelResult(StrEnum):
    """How one channel did in one generation. A channel was not measured where it is `UNUSED`."""

    WON = "won"
    CONFIRMED = "confirmed"
    """The other won, and this one had the asset too, later."""
    MISSED = "missed"
    """It worked, and did not tell of the asset in time."""
    FAILED = "failed"
    """It was not there to tell: dead, refused, or in error to the last."""
    UNUSED = "unused"


HAD_IT: Final = (ChannelResult.WON, ChannelResult.CONFIRMED)
"""The channel had the asset by itself, first or later: its successes."""
HAD_IT_NOT: Final = (ChannelResult.MISSED, ChannelResult.FAILED)


class AssetResult(StrEnum):
    """What the URL of a delivered asset serves to a stranger."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    WRONG_TYPE = "wrong_type"
    EMPTY = "empty"


class Outcome(StrEnum):
    """How a generation ended, for good. Only `DELIVERED` and `EXPIRED` count in the delivery SLI."""

    DELIVERED = "delivered"
    PROVIDER_FAILED = "provider_failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Origin(StrEnum):
    """Who asked for the generation."""

    API = "api"
    CANARY = "canary"
    REPORT = "report"


SEEN_HERE: Final = (Origin.API, Origin.CANARY)
"""Of what this service saw itself. A report is the word of somebody else."""


class Kind(StrEnum):
    """What the asset is."""

    IMAGE = "image"
    VIDEO = "video"


class Flow(StrEnum):
    """What the provider's create call made: a file, or a project that will hold one."""

    FILE = "file"
    PROJECT = "project"


class State(StrEnum):
    """How far a generation is: recorded, taken by the provider, or over."""

    ACCEPTED = "accepted"
    SUBMITTED = "submitted"
    ENDED = "ended"


class ErrorKind(StrEnum):
    """The one taxonomy of what goes wrong with a provider; also the metric label."""

    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    """Our own bug in a channel. It is never said to be the provider's."""


class Stage(StrEnum):
    """Which call to the provider."""

    CREATE = "create"
    SUBSCRIBE = "subscribe"
    POLL = "poll"
    RESOLVE = "resolve"
    VERIFY = "verify"
    """Not a call to the provider's API: a fetch of the asset, as a stranger."""


class Reason(StrEnum):
    """Why a generation ended without its asset. A closed set: it is a metric label. See `REASONS`."""

    TASK_ERROR = "task_error"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    CREATE_UNKNOWN = "create_unknown"
    """The create call may or may not have made a job, so it was not repeated."""
    PENDING = "pending"
    """To the last, the provider said that the asset was not ready."""
    NOT_POLLED = "not_polled"
    MONITOR_DOWN = "monitor_down"
    """The window ended while this service was not running, or stood still."""
    CALLER = "caller"
    CRASHED = "crashed"


_EXPIRY_BY_POLL = frozenset(Reason(kind) for kind in ErrorKind)
REASONS: dict[Outcome, frozenset[Reason | None]] = {
    Outcome.DELIVERED: frozenset({None}),
    Outcome.PROVIDER_FAILED: frozenset({Reason.TASK_ERROR}),
    Outcome.REJECTED: frozenset(
        {
            Reason.REJECTED,
            Reason.UNAUTHORIZED,
            Reason.NOT_FOUND,
            Reason.CONFLICT,
            Reason.RATE_LIMITED,
            Reason.UNAVAILABLE,
            Reason.CREATE_UNKNOWN,
        }
    ),
    Outcome.EXPIRED: _EXPIRY_BY_POLL | {Reason.PENDING, Reason.NOT_POLLED, Reason.MONITOR_DOWN},
    Outcome.CANCELLED: frozenset({Reason.CALLER, Reason.CRASHED}),
}
"""Which reasons go with which outcome: the label combinations that exist."""


@value(frozen=True, slots=True)
class Asset:
    """The finished thing."""

    url: str
    kind: Kind
    file_id: str | None = None


@value(frozen=True, slots=True)
class Handle:
    """What the create call returned: enough to subscribe and to poll. `id` names the file or the project, by `flow`."""

    flow: Flow
    id: str
    kind: Kind
    file_id: str | None = None


@value(frozen=True, slots=True)
class GenerationRequest:
    """What to ask of a provider. `params` are the provider's own (width, seed, …), passed on as they are."""

    prompt: str
    model: str
    kind: Kind = Kind.IMAGE
    flow: Flow = Flow.FILE
    params: dict[str, Any] = field(default_factory=dict)


@value(frozen=True, slots=True)
class TraceContext:
    """Trace ids in lower-case hex, chosen when the generation is accepted (W3C Trace Context, section 3.2)."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    sampled_by_caller: bool = False
    state: str = ""
    """The caller's `tracestate`, which goes wherever the trace goes."""


@value(frozen=True, slots=True)
class Generation:
    """Who a fact is about: what does not change from accept to end."""

    id: str
    origin: Origin
    provider: str
    model: str
    kind: Kind
    flow: Flow
    policy: str
    trace: TraceContext
    canary: str | None = None
    """Which canary's run it is, where it is one."""


@value(frozen=True, slots=True)
class Ready:
    """A usable asset was seen."""

    asset: Asset


@value(frozen=True, slots=True)
class Pending:
    """The provider knows the job and has nothing to show yet."""


@value(frozen=True, slots=True)
class Unresolved:
    """A result is there, as a file id whose URL needs one more call."""

    file_id: str


@value(frozen=True, slots=True)
class Failed:
    """The provider said that the job failed."""

    detail: str


Sighting = Ready | Pending | Unresolved | Failed
"""What one look at the provider showed, on either channel."""


@value(frozen=True, slots=True)
class Verdict:
    """How a generation ended. `at_s` is the loop's clock; `channel` is the one that brought the news."""

    outcome: Outcome
    channel: Channel
    at_s: float
    attempts: int = 0
    asset: Asset | None = None
    reason: Reason | None = None
    detail: str | None = None


@value(frozen=True, slots=True)
class Measurement:
    """How both channels did in one generation, each on its own. `lag_s`: how much later the loser had the asset."""

    sse: ChannelResult
    polling: ChannelResult
    lag_s: float | None = None

    def of(self, channel: Channel) -> ChannelResult:
        """The result of one of the two."""
        return self.sse if channel is Channel.SSE else self.polling


UNMEASURED = Measurement(ChannelResult.UNUSED, ChannelResult.UNUSED)
"""Of a generation that was not in the sample."""
