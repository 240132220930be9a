"""Counts and measures the facts for Prometheus."""

from collections.abc import Sequence
from typing import Final, assert_never

from prometheus_client import CollectorRegistry

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disowned,
    Ended,
    EventSeen,
    Fact,
    LookedAgain,
    PollEnded,
    PollingStarted,
    PollStarted,
    Reconciled,
    ReconcilingStarted,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import Channel, ChannelResult, ErrorKind, Generation, Outcome, Stage
from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Code, Phase
from monitor.telemetry.exemplars import Exemplars
from monitor.telemetry.series import DELIVERING, Series

_FOUND_NOTHING: Final = (CallResult.PENDING, CallResult.NOT_FOUND)
_CODES: Final = {2: Code.SUCCESS, 4: Code.REFUSED, 5: Code.FAILED}
_TOO_MANY: Final = 429

_Call = CreateEnded | StreamOpened | StreamEnded | PollEnded | ResolveEnded | LookedAgain | AssetChecked
_How = ErrorKind | StreamResult | CallResult | None


class _InFlight:
    """What must be remembered of one generation until its end."""

    __slots__ = ("found_nothing_at_s", "phase")

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.found_nothing_at_s: float | None = None


class MetricsObserver:
    """An `Observer` that keeps the metrics of all generations, with exemplars of those that are worth a look."""

    def __init__(
        self, registry: CollectorRegistry, providers: Sequence[ProviderSettings], exemplars: Exemplars
    ) -> None:
        self._series = Series(registry, providers)
        self._exemplars = exemplars
        self._in_flight: dict[str, _InFlight] = {}

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Count one fact."""
        match fact:
            case EventSeen():
                self._event_seen(generation, fact)
            case Accepted() | Submitted() | Resumed() | PollingStarted() | ReconcilingStarted() | Disowned():
                self._moved(generation, fact)
            case CreateEnded():
                self._call(generation, Stage.CREATE, fact, CallResult.CANCELLED if fact.cancelled else fact.error)
            case StreamOpened():
                self._series.of(catalog.SSE_CONNECTIONS, generation.provider, StreamResult.OPENED).inc()
                self._call(generation, Stage.SUBSCRIBE, fact, None)
            case StreamEnded():
                self._stream_ended(generation, fact)
            case PollEnded():
                self._poll_ended(generation, fact)
            case ResolveEnded():
                self._call(generation, Stage.RESOLVE, fact, fact.result)
            case Ended():
                self._ended(generation, fact)
            case PollStarted():
                pass
            case ChannelsMeasured() | AssetChecked() | LookedAgain() | Reconciled():
                self._found_out(generation, fact)
            case _:
                assert_never(fact)

    def _moved(
        self,
        generation: Generation,
        fact: Accepted | Submitted | Resumed | PollingStarted | ReconcilingStarted | Disowned,
    ) -> None:
        match fact:
            case Accepted():
                self._series.of(catalog.REQUESTS, *self._series.who(generation)).inc()
                self._enter(generation, Phase.SUBMITTING)
            case Resumed():
                self._enter(generation, Phase.SUBMITTING if fact.submitted_at_s is None else Phase.STREAMING)
            case Submitted():
                self._move(generation, Phase.STREAMING)
            case PollingStarted():
                self._move(generation, Phase.POLLING)
            case ReconcilingStarted():
                self._enter(generation, Phase.RECONCILING)
            case Disowned():
                self._leave(generation)

    def _found_out(
        self, generation: Generation, fact: ChannelsMeasured | AssetChecked | LookedAgain | Reconciled
    ) -> None:
        """What was found out after the end."""
        match fact:
            case ChannelsMeasured():
                self._measured(generation, fact)
            case AssetChecked():
                self._series.of(catalog.ASSET_CHECKS, generation.provider, fact.result).inc()
                self._call(generation, Stage.VERIFY, fact, None)
            case LookedAgain():
                self._call(generation, Stage.POLL, fact, fact.result)
            case Reconciled():
                self._leave(generation)
                if fact.late_s is not None:
                    exemplar = self._exemplars.of_expired(generation)
                    self._series.of(catalog.LATE, generation.provider).observe(fact.late_s, exemplar)

    def _event_seen(self, generation: Generation, fact: EventSeen) -> None:
        self._series.of(catalog.SSE_EVENTS, generation.provider, fact.type).inc()
        if fact.since_open_s is not None:
            exemplar = self._exemplars.of(generation)
            self._series.of(catalog.SSE_FIRST_EVENT, generation.provider).observe(fact.since_open_s, exemplar)

    def _stream_ended(self, generation: Generation, fact: StreamEnded) -> None:
        if fact.disconnect is not None:  # it stood, and was counted when it opened
            self._series.of(catalog.SSE_DISCONNECTS, generation.provider, fact.disconnect).inc()
            return
        self._series.of(catalog.SSE_CONNECTIONS, generation.provider, fact.result).inc()
        self._call(generation, Stage.SUBSCRIBE, fact, fact.result)

    def _poll_ended(self, generation: Generation, fact: PollEnded) -> None:
        self._series.of(catalog.POLLS, generation.provider, fact.result).inc()
        self._call(generation, Stage.POLL, fact, fact.result)
        if fact.result in _FOUND_NOTHING and (state := self._in_flight.get(generation.id)) is not None:
            state.found_nothing_at_s = fact.at_s

    def _ended(self, generation: Generation, fact: Ended) -> None:
        state, verdict, who = self._leave(generation), fact.verdict, self._series.who(generation)
        exemplar = self._exemplars.of(generation, fact)
        self._series.of(catalog.OUTCOMES, *who, verdict.outcome, verdict.channel, verdict.reason or "").inc(1, exemplar)
        if fact.submitted_at_s is None:
            return
        self._series.of(catalog.POLL_ATTEMPTS, *who, verdict.channel).observe(verdict.attempts, exemplar)
        if verdict.outcome is not Outcome.DELIVERED:
            return
        duration_s = max(0.0, verdict.at_s - fact.submitted_at_s)
        self._series.of(catalog.DELIVERY_DURATION, *who, verdict.channel).observe(duration_s, exemplar)
        if verdict.channel is Channel.POLLING and state is not None and state.found_nothing_at_s is not None:
            gap_s = verdict.at_s - state.found_nothing_at_s
            schedule = self._series.schedule(generation)
            self._series.of(catalog.DETECTION_GAP, generation.provider, schedule).observe(gap_s, exemplar)

    def _measured(self, generation: Generation, fact: ChannelsMeasured) -> None:
        provider, model, _ = self._series.who(generation)
        for channel in DELIVERING:
            result = fact.measurement.of(channel)
            self._series.of(catalog.CHANNEL_RESULTS, provider, model, channel, result).inc()
            if result is ChannelResult.CONFIRMED and fact.measurement.lag_s is not None:
                exemplar = self._exemplars.of(generation)
                self._series.of(catalog.CHANNEL_LAG, provider, channel).observe(fact.measurement.lag_s, exemplar)

    def _call(self, generation: Generation, stage: Stage, fact: _Call, how: _How) -> None:
        series = self._series.of(catalog.PROVIDER_REQUESTS, generation.provider, stage, _code(fact.status, how))
        is_expired = isinstance(fact, LookedAgain)
        exemplar = self._exemplars.of_expired(generation) if is_expired else self._exemplars.of(generation)
        series.observe(fact.at_s - fact.started_at_s, exemplar)

    def _enter(self, generation: Generation, phase: Phase) -> None:
        self._leave(generation)
        self._in_flight[generation.id] = _InFlight(phase)
        self._series.of(catalog.IN_FLIGHT, generation.provider, phase).inc()

    def _move(self, generation: Generation, phase: Phase) -> None:
        """To another phase. What comes after the end, from a call that would not let go, moves nothing."""
        state = self._in_flight.get(generation.id)
        if state is not None:
            self._series.of(catalog.IN_FLIGHT, generation.provider, state.phase).dec()
            self._series.of(catalog.IN_FLIGHT, generation.provider, phase).inc()
            state.phase = phase

    def _leave(self, generation: Generation) -> _InFlight | None:
        state = self._in_flight.pop(generation.id, None)
        if state is not None:
            self._series.of(catalog.IN_FLIGHT, generation.provider, state.phase).dec()
        return state


def _code(status: int | None, how: _How) -> Code:
    """The class of the HTTP status where there was one, else what went wrong."""
    if status is not None:
        return Code.RATE_LIMITED if status == _TOO_MANY else _CODES.get(status // 100, Code.OTHER)
    if how == CallResult.TIMEOUT:
        return Code.TIMEOUT
    return Code.CANCELLED if how == CallResult.CANCELLED else Code.ERROR
