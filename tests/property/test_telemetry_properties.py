"""Whatever happens to generations: one outcome each, nobody left in flight, and everything that is kept is bounded."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disconnect,
    Disowned,
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
    Resumed,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import (
    AssetResult,
    Channel,
    ChannelResult,
    ErrorKind,
    Measurement,
    Origin,
    Outcome,
    Reason,
    Verdict,
)
from monitor.settings import TracingSettings
from monitor.telemetry.exemplars import Exemplars
from monitor.telemetry.exposition import render
from monitor.telemetry.journal import MAX_FACTS, Journal
from monitor.telemetry.log_observer import LogObserver
from monitor.telemetry.metrics import MetricsObserver
from monitor.telemetry.series import full_spread, outcome_labels
from monitor.telemetry.spans import build_resource, build_spans
from monitor.telemetry.timeline import render_timeline
from tests.unit.telemetry.facts_of import PROVIDER, like

RESOURCE = build_resource()
EPOCH = datetime(2026, 1, 31, tzinfo=UTC)

_times = st.sampled_from([0.0, 0.1, 1.0, 9.9, 10.0, 20.0, 74.9, 75.0, 200.0])
_statuses = st.none() | st.integers(100, 599)
_details = st.none() | st.text(max_size=20)
_ids = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
_waits = st.none() | _times
_results = st.sampled_from(CallResult)
_attempts = st.integers(0, 6)
_streams = st.tuples(st.sampled_from(StreamResult), st.none() | st.sampled_from(Disconnect))

_happenings: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        CreateEnded, _times, _times, _ids, _statuses, st.none() | st.sampled_from(ErrorKind), st.booleans(), _waits
    ),
    st.builds(Submitted, _times, _times),
    st.builds(StreamOpened, _times, _times, st.integers(1, 3), st.just(200)),
    _streams.flatmap(
        lambda how: st.builds(
            StreamEnded,
            _times,
            _times,
            _ids,
            st.integers(1, 3),
            st.just(how[0]),
            _statuses,
            st.just(how[1]),
            _details,
            _waits,
        )
    ),
    st.builds(
        EventSeen,
        _times,
        st.sampled_from(EventType),
        st.none() | st.floats(),
        st.booleans(),
        st.none() | _times,
        _details,
    ),
    st.builds(PollingStarted, _times, st.booleans()),
    st.builds(PollStarted, _times, _attempts, st.just(6)),
    st.builds(PollEnded, _times, _times, _ids, _attempts, _results, _statuses, _details, st.booleans()),
    st.builds(
        ResolveEnded,
        _times,
        _times,
        _ids,
        st.sampled_from([Channel.SSE, Channel.POLLING]),
        _attempts,
        _results,
        _statuses,
        _details,
    ),
)


@st.composite
def _ends(draw: st.DrawFn) -> Fact:
    if draw(st.integers(0, 9)) == 0:
        return Disowned(draw(_times))
    outcome, channel, reason = draw(st.sampled_from(outcome_labels()))
    at_s = draw(_times)
    verdict = Verdict(outcome, channel, at_s, draw(_attempts), None, Reason(reason) if reason else None, draw(_details))
    return Ended(at_s, verdict, draw(st.none() | _times))


_begins: st.SearchStrategy[Fact] = st.builds(Accepted, _times) | st.builds(Resumed, _times, st.none() | _times)
_findings: st.SearchStrategy[Fact] = st.one_of(
    _happenings,
    st.builds(AssetChecked, _times, _times, _ids, st.sampled_from(AssetResult), _statuses, _details),
    st.builds(
        ChannelsMeasured,
        _times,
        st.builds(Measurement, st.sampled_from(ChannelResult), st.sampled_from(ChannelResult), _waits),
    ),
)
_reconciling: st.SearchStrategy[list[Fact]] = st.just([]) | st.tuples(
    st.builds(ReconcilingStarted, _times),
    st.lists(
        st.builds(LookedAgain, _times, _times, _ids, st.integers(1, 5), _results, _statuses, _details), max_size=5
    ),
    st.builds(Reconciled, _times, _waits),
).map(lambda parts: [parts[0], *parts[1], parts[2]])
_stories = st.tuples(
    _begins, st.lists(_happenings, max_size=25), _ends(), st.lists(_findings, max_size=4), _reconciling
).map(lambda parts: [parts[0], *parts[1], parts[2], *parts[3], *parts[4]])
"""What one generation can have: a beginning, anything, one end, and what is found out after it."""


def _total(registry: CollectorRegistry, name: str) -> float:
    body, _ = render(registry, "")
    lines = (line for line in body.decode().splitlines() if line.startswith(f"{name}{{"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _interleaved(stories: list[list[Fact]]) -> Iterable[tuple[int, Fact]]:
    for step in range(max(map(len, stories))):
        for number, story in enumerate(stories):
            if step < len(story):
                yield number, story[step]


@given(stories=st.lists(_stories, min_size=1, max_size=4), origin=st.sampled_from(Origin))
def test_each_generation_counts_one_outcome_and_leaves_nobody_in_flight(
    stories: list[list[Fact]], origin: Origin
) -> None:
    registry = CollectorRegistry()
    observe = MetricsObserver(registry, (PROVIDER,), Exemplars(TracingSettings(sample_ratio=0.5)))
    before = sum(not line.startswith(b"#") for line in render(registry, "")[0].splitlines())
    for number, fact in _interleaved(stories):
        observe(like(id=str(number), origin=origin), fact)
    ended = sum(isinstance(fact, Ended) for story in stories for fact in story)
    assert _total(registry, "generation_outcomes_total") == ended
    assert _total(registry, "generation_in_flight") == 0
    assert not observe._in_flight, "nothing is remembered of what is over"
    delivered = sum(
        isinstance(fact, Ended) and fact.verdict.outcome is Outcome.DELIVERED and fact.submitted_at_s is not None
        for story in stories
        for fact in story
    )
    assert _total(registry, "generation_delivery_duration_seconds_count") == delivered
    counters = [
        line for line in render(registry, "")[0].decode().splitlines() if line.startswith("generation_outcomes")
    ]
    assert len(counters) == 2 * len(Origin) * len(outcome_labels()), "every outcome had its series from the start"
    samples = [line for line in render(registry, "")[0].splitlines() if not line.startswith(b"#")]
    assert before <= len(samples) <= full_spread((PROVIDER,))


@given(story=_stories)
def test_whatever_happened_can_be_told(story: list[Fact]) -> None:
    journal, log = Journal(), LogObserver()
    for fact in story:
        journal.append(fact)
        log(like(), fact)
    assert len(journal.facts) <= MAX_FACTS
    timeline = render_timeline(journal.facts, 0.0)
    assert all(isinstance(entry["at_ms"], int) and isinstance(entry["event"], str) for entry in timeline)
    json.dumps(timeline)
    spans = build_spans(like(), journal.facts, lambda at_s: EPOCH + timedelta(seconds=at_s), 0.0, RESOURCE)
    assert sum(span.name == "generation" for span in spans) == sum(isinstance(fact, Ended) for fact in story)
