"""A generation's facts as OpenTelemetry spans, made after its end, with the ids that went to the provider."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
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
)
from monitor.delivery.model import AssetResult, Channel, Generation, Outcome, Reason

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_FINE: Final = (CallResult.READY, CallResult.PENDING, CallResult.CANCELLED)

WallOf = Callable[[float], datetime]


def build_resource() -> Resource:
    """Who the spans are from; `OTEL_RESOURCE_ATTRIBUTES` may say more."""
    return Resource.create({"service.name": "generation-monitor", "service.version": monitor.__version__})


def build_spans(
    generation: Generation, facts: Sequence[Fact], wall_of: WallOf, began_at_s: float, resource: Resource
) -> list[ReadableSpan]:
    """The root span `generation`, its children create, stream and poll, and below the last two resolve.

    `wall_of` gives the wall instant of a loop instant; `began_at_s` is when the generation was accepted.
    """
    maker = _Maker(generation, wall_of, resource)
    spans = []
    for fact in facts:
        match fact:
            case CreateEnded():
                spans.append(maker.create(fact))
            case StreamEnded():
                spans.append(maker.stream(fact, facts))
            case PollEnded():
                spans.append(maker.poll(fact))
            case ResolveEnded():
                spans.append(maker.resolve(fact, _asker(fact, facts)))
            case AssetChecked():
                spans.append(maker.verify(fact))
            case LookedAgain():
                spans.append(maker.look_again(fact))
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

    def __init__(self, generation: Generation, wall_of: WallOf, resource: Resource) -> None:
        self._generation = generation
        self._trace = generation.trace
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
        is_fine = verdict.outcome is Outcome.DELIVERED or verdict.reason is Reason.CALLER
        problem = None if is_fine else f"{verdict.outcome}: {verdict.reason}"
        events = [event for item in facts if (event := self._decision(item)) is not None]
        parent, span_id = self._trace.parent_span_id, self._trace.span_id
        return self._span(
            "generation", SpanKind.INTERNAL, span_id, parent, began_at_s, fact.at_s, attributes, events, problem
        )

    def create(self, fact: CreateEnded) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {**_status(fact.status)}
        if fact.error is not None:
            attributes["error.type"] = fact.error
        return self._call("create", fact, attributes, fact.error)

    def stream(self, fact: StreamEnded, facts: Sequence[Fact]) -> ReadableSpan:
        how = fact.disconnect or fact.result
        attributes: dict[str, AttributeValue] = {
            **_status(fact.status),
            "generation.connection": fact.number,
            "generation.stream.end": how,
        }
        seen = [item for item in facts if isinstance(item, EventSeen) and fact.started_at_s <= item.at_s <= fact.at_s]
        events = [self._event(f"sse.{item.type}", item.at_s, _event_attributes(item)) for item in seen]
        is_fine = fact.disconnect in (Disconnect.DONE, Disconnect.EOF) or fact.result is StreamResult.CANCELLED
        return self._call("stream", fact, attributes, None if is_fine else fact.detail or how, events)

    def poll(self, fact: PollEnded) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {
            **_status(fact.status),
            "generation.attempt": fact.attempt,
            "generation.poll.result": fact.result,
        }
        return self._call("poll", fact, attributes, None if fact.result in _FINE else fact.detail or fact.result)

    def resolve(self, fact: ResolveEnded, parent: str | None) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {**_status(fact.status), "generation.resolve.result": fact.result}
        problem = None if fact.result in _FINE else fact.detail or fact.result
        return self._call("resolve", fact, attributes, problem, parent=parent)

    def verify(self, fact: AssetChecked) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {**_status(fact.status), "generation.verify.result": fact.result}
        return self._call("verify", fact, attributes, None if fact.result is AssetResult.OK else fact.detail)

    def look_again(self, fact: LookedAgain) -> ReadableSpan:
        attributes: dict[str, AttributeValue] = {
            **_status(fact.status),
            "generation.look": fact.number,
            "generation.poll.result": fact.result,
        }
        return self._call("look again", fact, attributes, None if fact.result in _FINE else fact.detail or fact.result)

    def _call(
        self,
        name: str,
        fact: CreateEnded | StreamEnded | PollEnded | ResolveEnded | AssetChecked | LookedAgain,
        attributes: Attributes,
        problem: str | None,
        events: Sequence[Event] = (),
        parent: str | None = None,
    ) -> ReadableSpan:
        """A call to the provider, below the root or below `parent`."""
        parent = parent or self._trace.span_id
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
        )

    def _context(self, span_id: str, *, remote: bool = False) -> SpanContext:
        return SpanContext(int(self._trace.trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)

    def _decision(self, fact: Fact) -> Event | None:
        match fact:
            case Resumed():
                return self._event("resumed", fact.at_s, {})
            case PollingStarted():
                return self._event("polling started", fact.at_s, {"early": fact.early})
            case ChannelsMeasured():
                results = {"sse": fact.measurement.sse, "polling": fact.measurement.polling}
                return self._event("channels measured", fact.at_s, results)
            case Reconciled():
                late = {} if fact.late_s is None else {"late_s": fact.late_s}
                return self._event("reconciled", fact.at_s, late)
            case _:
                return None

    def _event(self, name: str, at_s: float, attributes: Attributes) -> Event:
        return Event(name, attributes, self._ns(at_s))

    def _ns(self, at_s: float) -> int:
        return int(self._wall_of(at_s).timestamp() * 1_000_000) * 1_000


def _status(status: int | None) -> dict[str, int]:
    return {} if status is None else {"http.response.status_code": status}


def _event_attributes(event: EventSeen) -> dict[str, str | float]:
    kept = {"progress": event.progress, "detail": event.detail}
    return {name: value for name, value in kept.items() if value is not None}
