"""What the service asks of a store, and the values that pass. One contract suite holds all stores to it."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Protocol

from monitor.delivery.model import (
    SEEN_HERE,
    Asset,
    AssetResult,
    Channel,
    ChannelResult,
    Flow,
    Generation,
    Handle,
    Kind,
    Measurement,
    Origin,
    Outcome,
    Reason,
    State,
    TraceContext,
)
from monitor.delivery.render_interval import RenderInterval
from monitor.delivery.values import value

TimelineEntry = dict[str, Any]
"""One thing that happened: `{"at_ms": 10003, "event": "poll", …}`; `at_ms` counts from the create call's answer."""


@value(frozen=True, slots=True)
class Idempotency:
    """A caller's key (`scope` is the caller, so that two callers never meet) and a hash of what was asked with it."""

    scope: str
    key: str
    request_hash: str


@value(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found out about a generation after its outcome was told; None where nothing was."""

    measurement: Measurement | None = None
    asset_check: AssetResult | None = None
    late_s: float | None = None
    """How long after its end the asset of an expired generation was found."""
    late_asset: Asset | None = None
    reconciled_at: datetime | None = None
    """When the last look at an expired generation was over."""


@value(frozen=True, slots=True, kw_only=True)
class Record:
    """One generation as it is kept. Instants are aware datetimes (UTC, whole milliseconds)."""

    id: str
    origin: Origin
    provider: str
    model: str
    kind: Kind
    flow: Flow
    policy: str
    trace: TraceContext
    instance: str
    """The service that owns it while it is in flight."""
    created_at: datetime
    canary: str | None = None
    """Which canary's run it is, where it is one."""
    idempotency: Idempotency | None = None
    state: State = State.ACCEPTED
    handle: Handle | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    """Create answered to ended; None when the provider never took the job."""
    outcome: Outcome | None = None
    reason: Reason | None = None
    detail: str | None = None
    channel: Channel | None = None
    attempts: int = 0
    asset: Asset | None = None
    render: RenderInterval | None = None
    findings: Findings = field(default=Findings())
    timeline: Sequence[TimelineEntry] = field(default=())

    @property
    def generation(self) -> Generation:
        """Who facts about it are about."""
        return Generation(
            self.id, self.origin, self.provider, self.model, self.kind, self.flow, self.policy, self.trace, self.canary
        )


@value(frozen=True, slots=True, kw_only=True)
class Ending:
    """The one outcome of a generation, as it is written."""

    ended_at: datetime
    duration_s: float | None
    outcome: Outcome
    reason: Reason | None
    detail: str | None
    channel: Channel
    attempts: int
    asset: Asset | None
    timeline: Sequence[TimelineEntry]
    render: RenderInterval | None = None


@value(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records to list; None lets all pass."""

    outcome: Outcome | None = None
    channel: Channel | None = None
    provider: str | None = None
    origin: Origin | None = None


@value(frozen=True, slots=True)
class Quantiles:
    """Nearest-rank quantiles: each is a value that was observed."""

    p50: float
    p95: float
    p99: float


@value(frozen=True, slots=True, kw_only=True)
class WindowFigures:
    """What ended in a window of time. Only channels that won something appear in `won` and `latency_s`."""

    by_origin: Mapping[Origin, Mapping[Outcome, int]]
    """Of every origin; all else is of those that were asked for."""
    outcomes: Mapping[Outcome, int]
    won: Mapping[Channel, int]
    latency_s: Mapping[Channel, Quantiles]
    polling_attempts_mean: float | None
    polling_attempts_p95: int | None
    attempts: Mapping[Channel, Mapping[int, int]]
    """How often so many polls were made by the end: of what a channel delivered, and of what expired (`none`)."""
    latency_counts: Mapping[Channel, Sequence[int]]
    """How many deliveries lie in each bucket, and last how many over all bounds; empty where no bounds were given."""
    measured: Mapping[Channel, Mapping[ChannelResult, int]]
    """Of the generations in the sample: how often each channel did how."""


@value(frozen=True, slots=True)
class RenderObservation:
    """What one generation tells of the render time of a model."""

    provider: str
    model: str
    interval: RenderInterval


class RecordStore(Protocol):
    """Keeps records. A write is durable when it was awaited, and may wait while the store is in trouble.

    Raises `StoreUnavailable` when it cannot read now, or when too many writes wait already.
    """

    async def add(self, record: Record) -> Record:
        """Keep a new record. Returns the older one instead when its idempotency scope and key are taken."""
        ...

    def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> Awaitable[object]:
        """Keep what the provider answered, so that a restart can take the generation up again."""
        ...

    def end(self, generation_id: str, ending: Ending) -> Awaitable[bool]:
        """Write the outcome if there is none yet. True for the one caller whose ending was written."""
        ...

    async def note(
        self,
        generation_id: str,
        findings: Findings,
        timeline: Sequence[TimelineEntry],
        render: RenderInterval | None = None,
    ) -> None:
        """Keep what was found out about an ended generation: of `findings` and `render` what is not None, and the
        whole timeline.
        """
        ...

    async def ask_cancel(self, generation_id: str, at: datetime) -> None:
        """Mark it for its owner, if it has not ended."""
        ...

    async def cancels_asked(self, instance: str) -> list[str]:
        """The ids of what `instance` has in flight and somebody wants cancelled."""
        ...

    async def get(self, generation_id: str) -> Record | None: ...

    async def find_key(self, scope: str, key: str) -> Record | None: ...

    async def page(self, wanted: RecordFilter, *, before_id: str | None, limit: int) -> list[Record]:
        """Newest first (by id, which orders by time), starting after `before_id`. With timelines."""
        ...

    async def unfinished(self, instance: str) -> list[Record]:
        """What `instance` had in flight when it stopped, oldest first."""
        ...

    async def unreconciled(self, instance: str, *, since: datetime, limit: int) -> list[Record]:
        """What `instance` let expire at `since` or later and had not reconciled when it stopped, newest first."""
        ...

    async def figures(
        self,
        since: datetime,
        *,
        origins: Collection[Origin] = SEEN_HERE,
        bounds_s: Sequence[float] = (),
    ) -> WindowFigures:
        """What ended at `since` or later, of `origins`.

        Latencies are counted by `bounds_s`, each the inclusive end of a bucket, in rising order.
        """
        ...

    async def render_observations(
        self, since: datetime, *, limit: int, origins: Collection[Origin] = SEEN_HERE
    ) -> list[RenderObservation]:
        """What ended at `since` or later, of `origins`, tells of render times, newest first."""
        ...

    async def prune(self, *, older_than: timedelta, keep_at_most: int, now: datetime) -> int:
        """Delete ended records by age, and by count within each origin: none drives out another. Those in flight stay.

        Returns how many went.
        """
        ...

    async def check(self) -> None:
        """Return when the store answers, raise `StoreUnavailable` when it does not."""
        ...
