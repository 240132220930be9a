"""A generation's facts as OpenTelemetry spans, made after its end, with the ids that went to the provider.

The spans of calls are HTTP client spans by OpenTelemetry's conventions, but for their names: those say what the call is
to the generation (`poll`), and `url.template` says what it is to the provider.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes, AttributeValue

import monitor
from monitor.delivery.facts import (
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disconnect,
    Ended,
    EventSeen,
    Fact,
    LookedAgain,
    PollEnded,
    PollingStarted,
    Reconciled,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import AssetResult, Channel, Generation, Outcome, Reason, Stage
from monitor.telemetry.http_attributes import HttpAttributes, HttpCalls

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
"""The version of the conventions that the attributes' names are from."""
_SCOPE: Final = InstrumentationScope("monitor", monitor.__version__, SCHEMA_URL)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_FINE: Final = (CallResult.READY, CallResult.PENDING, CallResult.CANCELLED)

WallOf = Callable[[float], datetime]


def build_resource() -> Resource:
    """Who the spans are from; `OTEL_RESOURCE_ATTRIBUTES` may say more."""
    return Resource.create({"service.name": "generation-monitor", "service.version": monitor.__version__})


def build_spans(
    generation: Generation,
    facts: Sequence[Fact],
    wall_of: WallOf,
    began_at_s: float,
    resource: Resource,
    http: HttpCalls | None = None,
) -> list[ReadableSpan]:
    """The root span `generation`, its children create, stream, poll, verify and look again, and below two, resolve.

    `wall_of` gives the wall instant of a loop instant; `began_at_s` is when the generation was accepted.
    """
    maker = _Maker(generation, wall_of, resource, http or HttpCalls())
    spans = []
    creates = 0
    for fact in facts:
        match fact:
            case CreateEnded():
                spans.append(maker.create(fact, creates))
                creates += 1
            case StreamEnded():
                spans.append(maker.stream(fact, facts))
            case PollEnded():
                spans.append(maker.poll(fact))
            case ResolveEnded():
                spans.append(maker.resolve(fact, _asker(fact, facts)))
            case AssetChecked():
                spans.append(maker.verify(fact, facts))
            case LookedAgain():
                spans.append(maker.look_again(fact, facts))
            case Ended():
                spans.append(maker.root(fact, facts, began_at_s))
            case _:
                pass
    return spans


def _asker(resolve: ResolveEnded, facts: Sequence[Fact]) -> str | None:
    """The span of the call that led to this one: the poll it is part of, or the last stream that opened before it."""
    kind = PollEnded if resolve.channel is Channel.POLLING else StreamEnded
    before = [fact for fact in facts if isinstance(fact, kind) and fact.started_at_s <= resolve.started_at_s]
    if resolve.channel is Channel.POLLING:
        before = [fact for fact in before if isinstance(fact, PollEnded) and fact.attempt == resolve.attempt]
    return max(before, key=lambda fact: fact.started_at_s).span_id if before else None


class _Maker:
    """Makes the spans of one generation."""

    def __init__(self, generation: Generation, wall_of: WallOf, resource: Resource, http: HttpCalls) -> None:
        self._generation = generation
        self._http = http
        self._trace = generation.trace
        self._state = TraceState.from_header([self._trace.state])
        self._wall_of = wall_of
        self._resource = resource

    def root(self, fact: Ended, facts: Sequence[Fact], began_at_s: float) -> ReadableSpan:
        verdict, generation = fact.verdict, self._generation
        attributes: dict[str, AttributeValue] = {
            "generation.id": generation.id,
            "generation.origin": generation.origin,
            "generation.provider": generation.provider,
            "generation.model": generation.model,
            "generation.policy": generation.policy,
            "generation.outcome": verdict.outcome,
            "generation.channel": verdict.channel,
            "generation.attempts": verdict.attempts,
            "generation.reason": verdict.reason or "",
        }
        if generation.canary is not None:
            attributes["generation.canary"] = generation.canary
        is_fine = verdict.outcome is Outcome.DELIVERED or verdict.reason is Reason.CALLER
        problem = None if is_fine else f"{verdict.outcome}: {verdict.reason}"
        events = [event for item in facts if (event := self._decision(item)) is not None]
        parent, span_id = self._trace.parent_span_id, self._trace.span_id
        return self._span(
            "generation", SpanKind.INTERNAL, span_id, parent, began_at_s, fact.at_s, attributes, events, problem
        )

    def create(self, fact: CreateEnded, tries_before: int) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {**self._to_provider(Stage.CREATE), **_retry(fact.retry_in_s)}
        if tries_before:
            attributes["http.request.resend_count"] = tries_before
        return self._call("create", fact, attributes, fact.error)

    def stream(self, fact: StreamEnded, facts: Sequence[Fact]) -> ReadableSpan:
        how = fact.disconnect or fact.result
        attributes: dict[str, AttributeValue] = {
            **self._to_provider(Stage.SUBSCRIBE),
            "generation.connection": fact.number,
            "generation.stream.end": how,
            **_retry(fact.retry_in_s),
        }
        seen = [item for item in facts if isinstance(item, EventSeen) and fact.started_at_s <= item.at_s <= fact.at_s]
        events = [self._event(f"sse.{item.type}", item.at_s, _event_attributes(item)) for item in seen]
        is_fine = fact.disconnect in (Disconnect.DONE, Disconnect.EOF) or fact.result is StreamResult.CANCELLED
        return self._call("stream", fact, attributes, None if is_fine else how, events)

    def poll(self, fact: PollEnded) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {
            **self._to_provider(Stage.POLL),
            "generation.attempt": fact.attempt,
            "generation.poll.result": fact.result,
        }
        if fact.lingering:
            attributes["generation.lingering"] = True
        return self._call("poll", fact, attributes, _problem(fact.result))

    def resolve(self, fact: ResolveEnded, parent: str | None) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {
            **self._to_provider(Stage.RESOLVE),
            "generation.resolve.result": fact.result,
        }
        return self._call("resolve", fact, attributes, _problem(fact.result), parent=parent)

    def verify(self, fact: AssetChecked, facts: Sequence[Fact]) -> ReadableSpan:
        assets = (item.verdict.asset for item in facts if isinstance(item, Ended))
        asset = next((asset for asset in assets if asset is not None), None)
        attributes: dict[str, AttributeValue] = {
            **({} if asset is None else self._http.to_asset(asset.url)),
            "generation.verify.result": fact.result,
        }
        return self._call("verify", fact, attributes, None if fact.result is AssetResult.OK else fact.result)

    def look_again(self, fact: LookedAgain, facts: Sequence[Fact]) -> ReadableSpan:
        """The last look tells what came of all: the root, long exported, cannot."""
        attributes: dict[str, AttributeValue] = {
            **self._to_provider(Stage.POLL),
            "generation.look": fact.number,
            "generation.poll.result": fact.result,
        }
        later = [item for item in facts if isinstance(item, LookedAgain) and item.number > fact.number]
        ends = [item for item in facts if isinstance(item, Reconciled)]
        events = [] if later else [self._event("reconciled", end.at_s, _lateness(end)) for end in ends]
        return self._call("look again", fact, attributes, _problem(fact.result), events)

    def _to_provider(self, stage: Stage) -> HttpAttributes:
        return self._http.to_provider(self._generation, stage)

    def _call(
        self,
        name: str,
        fact: CreateEnded | StreamEnded | PollEnded | ResolveEnded | AssetChecked | LookedAgain,
        attributes: dict[str, AttributeValue],
        problem: str | None,
        events: Sequence[Event] = (),
        parent: str | None = None,
    ) -> ReadableSpan:
        """A call over HTTP, below the root or below `parent`. `problem` is from a closed set; words are added to it."""
        parent = parent or self._trace.span_id
        if fact.status is not None:
            attributes["http.response.status_code"] = fact.status
        if problem is not None:
            attributes["error.type"] = problem
            problem = getattr(fact, "detail", None) or problem
        began_at_s, at_s = fact.started_at_s, fact.at_s
        return self._span(name, SpanKind.CLIENT, fact.span_id, parent, began_at_s, at_s, attributes, events, problem)

    def _span(
        self,
        name: str,
        kind: SpanKind,
        span_id: str,
        parent_id: str | None,
        began_at_s: float,
        ended_at_s: float,
        attributes: Attributes,
        events: Sequence[Event],
        problem: str | None,
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=self._context(span_id),
            parent=None if parent_id is None else self._context(parent_id, remote=kind is SpanKind.INTERNAL),
            resource=self._resource,
            attributes=attributes,
            events=events,
            kind=kind,
            status=Status(StatusCode.UNSET) if problem is None else Status(StatusCode.ERROR, problem),
            start_time=self._ns(began_at_s),
            end_time=self._ns(ended_at_s),
            instrumentation_scope=_SCOPE,
        )

    def _context(self, span_id: str, *, remote: bool = False) -> SpanContext:
        trace_id = int(self._trace.trace_id, 16)
        return SpanContext(trace_id, int(span_id, 16), remote, _SAMPLED, self._state)

    def _decision(self, fact: Fact) -> Event | None:
        match fact:
            case Submitted():
                return self._event("fallback scheduled", fact.at_s, {"polling_in_s": fact.grace_s})
            case Resumed():
                return self._event("resumed", fact.at_s, {})
            case PollingStarted():
                return self._event("polling started", fact.at_s, {"early": fact.early})
            case ChannelsMeasured():
                results = {"sse": fact.measurement.sse, "polling": fact.measurement.polling}
                return self._event("channels measured", fact.at_s, results)
            case _:
                return None

    def _event(self, name: str, at_s: float, attributes: Attributes) -> Event:
        return Event(name, attributes, self._ns(at_s))

    def _ns(self, at_s: float) -> int:
        return int(self._wall_of(at_s).timestamp() * 1_000_000) * 1_000


def _problem(result: CallResult) -> str | None:
    return None if result in _FINE else result


def _retry(retry_in_s: float | None) -> dict[str, float]:
    return {} if retry_in_s is None else {"generation.retry_in_s": retry_in_s}


def _lateness(end: Reconciled) -> dict[str, bool | float]:
    return {"late": False} if end.late_s is None else {"late": True, "late_s": end.late_s}


def _event_attributes(event: EventSeen) -> dict[str, str | float]:
    kept = {"progress": event.progress, "detail": event.detail}
    return {name: value for name, value in kept.items() if value is not None}
