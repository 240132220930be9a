"""Facts of a generation, as the telemetry tests tell them."""

from dataclasses import replace

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disconnect,
    Ended,
    EventSeen,
    EventType,
    Fact,
    LookedAgain,
    PollEnded,
    PollingStarted,
    PollStarted,
    Reconciled,
    ReconcilingStarted,
    ResolveEnded,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import (
    Asset,
    AssetResult,
    Channel,
    ChannelResult,
    Flow,
    Generation,
    Kind,
    Measurement,
    Origin,
    Outcome,
    Reason,
    TraceContext,
    Verdict,
)
from monitor.settings import ProviderSettings

ASSET = Asset("https://cdn.test/a.webp?signature=s3cret", Kind.IMAGE)
PROVIDER = ProviderSettings(name="superduperai", base_url="http://provider.test", models=("comfyui/flux",))
GENERATION = Generation(
    id="0199aaaa-0000-7000-8000-000000000001",
    origin=Origin.API,
    provider="superduperai",
    model="comfyui/flux",
    kind=Kind.IMAGE,
    flow=Flow.FILE,
    policy="fixed",
    trace=TraceContext("a" * 32, "b" * 16),
)


def like(generation: Generation = GENERATION, **changes: object) -> Generation:
    """The generation with something changed."""
    return replace(generation, **changes)  # type: ignore[arg-type]


def span_id(number: int) -> str:
    """A span id, told apart by its number."""
    return f"{number:016x}"


def verdict(
    outcome: Outcome, at_s: float, channel: Channel = Channel.NONE, reason: Reason | None = None, attempts: int = 0
) -> Verdict:
    """A verdict; what was delivered has an asset."""
    asset = ASSET if outcome is Outcome.DELIVERED else None
    return Verdict(outcome, channel, at_s, attempts, asset, reason)


def poll(
    attempt: int, at_s: float, result: CallResult, status: int | None = 200, detail: str | None = None
) -> PollEnded:
    """A poll that took 0.2 s."""
    return PollEnded(at_s, at_s - 0.2, span_id(100 + attempt), attempt, result, status, detail)


def delivered_by_sse() -> list[Fact]:
    """t = 0 is at 100.5 s; the result came 3 s later."""
    return [
        Accepted(100.0),
        CreateEnded(100.5, 100.0, span_id(1), 200, None),
        Submitted(100.5, 10.0),
        StreamOpened(100.6, 100.5, 1, 200),
        EventSeen(101.0, EventType.HEARTBEAT, None, True, 0.4),
        EventSeen(102.0, EventType.PROGRESS, 0.5),
        EventSeen(103.5, EventType.RESULT),
        StreamEnded(103.6, 100.5, span_id(2), 1, StreamResult.OPENED, 200, Disconnect.DONE, None, None),
        Ended(103.5, verdict(Outcome.DELIVERED, 103.5, Channel.SSE), 100.5),
    ]


def delivered_by_polling() -> list[Fact]:
    """The stream was refused; the second poll brought a file id, and the resolution its URL, 20.2 s after t = 0."""
    return [
        Accepted(100.0),
        CreateEnded(100.5, 100.0, span_id(1), 200, None),
        Submitted(100.5, 10.0),
        StreamEnded(100.6, 100.5, span_id(2), 1, StreamResult.UNAUTHORIZED, 401, None, "no such token", None),
        PollingStarted(110.5, False),
        PollStarted(110.5, 1, 6),
        poll(1, 110.7, CallResult.PENDING),
        PollStarted(120.5, 2, 6),
        ResolveEnded(120.68, 120.6, span_id(3), Channel.POLLING, 2, CallResult.READY, 200, None),
        poll(2, 120.7, CallResult.READY),
        Ended(120.7, verdict(Outcome.DELIVERED, 120.7, Channel.POLLING, attempts=2), 100.5),
    ]


def found_out_after_sse_won() -> list[Fact]:
    """What follows `delivered_by_sse`: polling lingered and had it 2.1 s later, and the URL serves the asset."""
    return [
        PollStarted(105.4, 1, 6, lingering=True),
        PollEnded(105.6, 105.4, span_id(101), 1, CallResult.READY, 200, None, lingering=True),
        AssetChecked(105.9, 105.6, span_id(4), AssetResult.OK, 200, "image/webp"),
        ChannelsMeasured(105.9, Measurement(ChannelResult.WON, ChannelResult.CONFIRMED, 2.1)),
    ]


def expired() -> list[Fact]:
    """Polling found nothing to the last, and nobody measured; t = 0 is at 100.5 s, the window is 75 s."""
    return [
        Accepted(100.0),
        CreateEnded(100.5, 100.0, span_id(1), 200, None),
        Submitted(100.5, 10.0),
        PollingStarted(110.5, False),
        PollStarted(110.5, 1, 6),
        poll(1, 110.7, CallResult.PENDING),
        Ended(175.5, verdict(Outcome.EXPIRED, 175.5, reason=Reason.PENDING, attempts=1), 100.5),
    ]


def looks_again(late_s: float | None = 90.2) -> list[Fact]:
    """What follows `expired`: the second look finds it, or fails and is the last."""
    how = CallResult.UNAVAILABLE if late_s is None else CallResult.READY
    status, detail = (503, "come back later") if late_s is None else (200, None)
    return [
        ReconcilingStarted(175.6),
        LookedAgain(205.7, 205.5, span_id(11), 1, CallResult.PENDING, 200, None),
        LookedAgain(265.7, 265.5, span_id(12), 2, how, status, detail),
        Reconciled(265.7, late_s),
    ]
