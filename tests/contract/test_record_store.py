"""What every store must do."""

import asyncio
import math
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from monitor.delivery.model import (
    Asset,
    AssetResult,
    Channel,
    ChannelResult,
    Kind,
    Measurement,
    Origin,
    Outcome,
    Reason,
    State,
)
from monitor.delivery.render_interval import RenderInterval
from monitor.flight import ended_record
from monitor.store.port import Ending, Findings, Idempotency, Record, RecordFilter, RecordStore, RenderObservation
from tests.records import HANDLE, NOW
from tests.records import new_ending as _ending
from tests.records import new_record as _record


async def _ended(store: RecordStore, record: Record, ending: Ending) -> Record:
    await store.add(record)
    await store.submit(record.id, HANDLE, record.created_at)
    assert await store.end(record.id, ending)
    kept = await store.get(record.id)
    assert kept is not None
    return kept


async def test_a_record_comes_back_as_it_was_kept(store: RecordStore) -> None:
    record = _record(canary="fox", idempotency=Idempotency("local", "key", "hash"))
    assert await store.add(record) == record
    assert await store.get(record.id) == record
    at = NOW + timedelta(milliseconds=250)
    await store.submit(record.id, HANDLE, at)
    submitted = replace(record, state=State.SUBMITTED, handle=HANDLE, submitted_at=at)
    assert await store.get(record.id) == submitted
    assert await store.end(record.id, _ending())
    assert await store.get(record.id) == ended_record(submitted, _ending())
    assert await store.get("nobody") is None


async def test_a_record_that_is_over_already_comes_back_as_it_was_kept(store: RecordStore) -> None:
    submitted = _record(state=State.SUBMITTED, handle=HANDLE, submitted_at=NOW + timedelta(milliseconds=250))
    record = ended_record(submitted, _ending(render=RenderInterval(1.0, 2.0)))
    await store.add(record)
    assert await store.get(record.id) == record


async def test_of_many_who_end_it_one_does(store: RecordStore) -> None:
    record = _record()
    await store.add(record)
    endings = [_ending(attempts=number) for number in range(50)]
    written = await asyncio.gather(*(store.end(record.id, ending) for ending in endings))
    assert written.count(True) == 1
    kept = await store.get(record.id)
    assert kept is not None
    assert kept.attempts == written.index(True)
    assert not await store.end(record.id, _ending(outcome=Outcome.EXPIRED))
    assert not await store.end("nobody", _ending())


async def test_only_its_owner_hears_that_somebody_wants_it_cancelled_and_only_while_it_is_in_flight(
    store: RecordStore,
) -> None:
    asked, other, ended = _record(), _record(), _record()
    for record in (asked, other, ended):
        await store.add(record)
    await store.end(ended.id, _ending())
    for generation_id in (asked.id, ended.id, "nobody"):
        await store.ask_cancel(generation_id, NOW)
    await store.ask_cancel(asked.id, NOW)
    assert await store.cancels_asked("monitor") == [asked.id]
    assert await store.cancels_asked("another") == []
    assert await store.get(asked.id) == asked
    await store.end(asked.id, _ending(outcome=Outcome.CANCELLED))
    assert await store.cancels_asked("monitor") == []


async def test_what_ended_is_not_submitted_again(store: RecordStore) -> None:
    record = _record()
    kept = await _ended(store, record, _ending())
    await store.submit(record.id, replace(HANDLE, id="other"), NOW)
    assert await store.get(record.id) == kept


async def test_add_submit_and_end_at_once_keep_their_order(store: RecordStore) -> None:
    record = _record()
    asked = (store.add(record), store.submit(record.id, HANDLE, NOW), store.end(record.id, _ending()))
    assert (await asyncio.gather(*asked))[2] is True
    kept = await store.get(record.id)
    assert kept is not None
    assert (kept.state, kept.handle) == (State.ENDED, HANDLE)


async def test_a_key_belongs_to_the_first_who_uses_it(store: RecordStore) -> None:
    records = [_record(number, idempotency=Idempotency("local", "key", f"hash-{number}")) for number in range(10)]
    kept = await asyncio.gather(*(store.add(record) for record in records))
    assert len({record.id for record in kept}) == 1
    found = await store.find_key("local", "key")
    assert found is not None
    assert found.id == kept[0].id
    other = _record(idempotency=Idempotency("somebody", "key", "hash"))
    assert (await store.add(other)).id == other.id
    assert await store.find_key("local", "nothing") is None


async def test_pages_go_on_where_they_ended_although_new_ones_come(store: RecordStore) -> None:
    records = [_record(number) for number in range(7)]
    for record in records:
        await store.add(record)
    newest = [record.id for record in reversed(records)]
    first = await store.page(RecordFilter(), before_id=None, limit=3)
    await store.add(_record(100))
    second = await store.page(RecordFilter(), before_id=first[-1].id, limit=3)
    last = await store.page(RecordFilter(), before_id=second[-1].id, limit=3)
    assert [record.id for record in (*first, *second, *last)] == newest


async def test_filters_let_through_what_they_say(store: RecordStore) -> None:
    delivered = await _ended(store, _record(1), _ending())
    expired = await _ended(
        store,
        _record(2, provider="other", origin=Origin.CANARY),
        _ending(outcome=Outcome.EXPIRED, reason=Reason.PENDING, channel=Channel.NONE, asset=None),
    )
    await store.add(_record(3))
    cases = [
        (RecordFilter(outcome=Outcome.DELIVERED), [delivered]),
        (RecordFilter(channel=Channel.NONE), [expired]),
        (RecordFilter(provider="other"), [expired]),
        (RecordFilter(origin=Origin.CANARY, outcome=Outcome.DELIVERED), []),
    ]
    for wanted, expected in cases:
        assert await store.page(wanted, before_id=None, limit=10) == expected


async def test_unfinished_are_ones_own_oldest_first(store: RecordStore) -> None:
    second, first = _record(2), _record(1)
    await store.add(second)
    await store.add(first)
    await store.add(_record(3, instance="another"))
    await _ended(store, _record(4), _ending())
    await store.submit(second.id, HANDLE, NOW)
    assert [record.id for record in await store.unfinished("monitor")] == [first.id, second.id]


async def test_figures_are_those_of_a_simple_count(store: RecordStore) -> None:
    rng = random.Random(7)
    endings = [_random_ending(rng, number) for number in range(120)]
    kept = await asyncio.gather(*(_ended(store, _record(number), ending) for number, ending in enumerate(endings)))
    since = NOW + timedelta(seconds=60)
    within = [record for record in kept if record.ended_at is not None and record.ended_at >= since]
    figures = await store.figures(since)
    assert dict(figures.outcomes) == Counter(record.outcome for record in within)
    delivered = [record for record in within if record.outcome is Outcome.DELIVERED]
    assert dict(figures.won) == Counter(record.channel for record in delivered)
    for channel in (Channel.SSE, Channel.POLLING):
        times = sorted(record.duration_s or 0 for record in delivered if record.channel is channel)
        at = [times[max(0, -(-len(times) * share // 100) - 1)] for share in (50, 95, 99)]
        quantiles = figures.latency_s[channel]
        assert [quantiles.p50, quantiles.p95, quantiles.p99] == pytest.approx(at)
    attempts = sorted(record.attempts for record in delivered if record.channel is Channel.POLLING)
    assert figures.polling_attempts_mean == pytest.approx(sum(attempts) / len(attempts))
    assert figures.polling_attempts_p95 == attempts[-(-len(attempts) * 95 // 100) - 1]


def _random_ending(rng: random.Random, number: int) -> Ending:
    ended_at = NOW + timedelta(seconds=number)
    if rng.random() < 0.2:
        return _ending(ended_at=ended_at, outcome=Outcome.EXPIRED, channel=Channel.NONE, asset=None)
    channel = rng.choice([Channel.SSE, Channel.POLLING])
    return _ending(ended_at=ended_at, channel=channel, duration_s=rng.random() * 60, attempts=rng.randrange(6))


async def test_figures_spread_latencies_over_buckets_and_count_attempts_by_winner(store: RecordStore) -> None:
    sse, expired = Channel.SSE, Outcome.EXPIRED
    endings: list[dict[str, Any]] = [
        *({"channel": sse, "duration_s": took_s, "attempts": 0} for took_s in (None, 0.5, 1.0, 9.999, 10.0, 10.001)),
        *({"duration_s": took_s, "attempts": attempts} for took_s, attempts in ((10.0, 1), (20.0, 2), (900.0, 40))),
        *({"outcome": expired, "channel": Channel.NONE, "attempts": attempts} for attempts in (6, 6, 0)),
        {"outcome": Outcome.PROVIDER_FAILED, "channel": Channel.NONE, "attempts": 3},
        {"outcome": Outcome.PROVIDER_FAILED, "channel": sse, "duration_s": 500.0},
        {"channel": sse, "duration_s": 0.5, "ended_at": NOW - timedelta(seconds=1)},
    ]
    for number, changes in enumerate(endings):
        await _ended(store, _record(number), _ending(**changes))
    figures = await store.figures(NOW, bounds_s=(1, 10, 20))
    assert {channel: list(counts) for channel, counts in figures.latency_counts.items()} == {
        Channel.SSE: [3, 2, 1, 0],
        Channel.POLLING: [0, 1, 1, 1],
    }
    assert figures.latency_s[sse].p99 == 10.001
    assert figures.attempts == {Channel.SSE: {0: 6}, Channel.POLLING: {1: 1, 2: 1, 40: 1}, Channel.NONE: {6: 2, 0: 1}}
    assert (await store.figures(NOW)).latency_counts == {}


async def test_figures_are_of_the_origins_that_are_asked_for(store: RecordStore) -> None:
    for number, (origin, outcome) in enumerate(
        [*product(Origin, [Outcome.DELIVERED]), (Origin.REPORT, Outcome.EXPIRED), (Origin.CANARY, Outcome.EXPIRED)]
    ):
        channel = Channel.SSE if outcome is Outcome.DELIVERED else Channel.NONE
        render = RenderInterval(1.0, 2.0)
        ending = _ending(outcome=outcome, channel=channel, duration_s=float(number), attempts=number, render=render)
        record = await _ended(store, _record(number, origin=origin), ending)
        measurement = Measurement(ChannelResult.WON, ChannelResult.MISSED)
        await store.note(record.id, Findings(measurement=measurement), ())
    seen = await store.figures(NOW)
    by_origin = {
        Origin.API: {Outcome.DELIVERED: 1},
        Origin.CANARY: {Outcome.DELIVERED: 1, Outcome.EXPIRED: 1},
        Origin.REPORT: {Outcome.DELIVERED: 1, Outcome.EXPIRED: 1},
    }
    assert (seen.outcomes, seen.won) == ({Outcome.DELIVERED: 2, Outcome.EXPIRED: 1}, {Channel.SSE: 2})
    reported = await store.figures(NOW, origins=(Origin.REPORT,), bounds_s=(0.5,))
    assert seen.by_origin == reported.by_origin == by_origin
    assert (reported.latency_s[Channel.SSE].p50, reported.latency_counts) == (2.0, {Channel.SSE: [0, 1]})
    assert reported.attempts == {Channel.SSE: {2: 1}, Channel.NONE: {3: 1}}
    assert [sum(counted.measured[Channel.SSE].values()) for counted in (seen, reported)] == [3, 2]
    assert [len(await store.render_observations(NOW, limit=9, origins=(origin,))) for origin in Origin] == [1, 2, 2]


async def test_figures_of_nothing_are_empty(store: RecordStore) -> None:
    figures = await store.figures(NOW, bounds_s=(1, 10))
    assert (dict(figures.attempts), dict(figures.latency_counts)) == ({}, {})
    assert (dict(figures.outcomes), dict(figures.won), dict(figures.latency_s)) == ({}, {}, {})
    assert dict(figures.by_origin) == {}
    assert (figures.polling_attempts_mean, figures.polling_attempts_p95) == (None, None)


async def test_old_ones_and_too_many_go_but_none_in_flight(store: RecordStore) -> None:
    old_in_flight = _record(created_at=NOW - timedelta(days=9))
    await store.add(old_in_flight)
    old = await _ended(store, _record(created_at=NOW - timedelta(days=8)), _ending())
    new = [await _ended(store, _record(number), _ending()) for number in range(4)]
    now = NOW + timedelta(minutes=1)
    assert await store.prune(older_than=timedelta(days=7), keep_at_most=100, now=now) == 1
    assert await store.get(old.id) is None
    assert await store.prune(older_than=timedelta(days=7), keep_at_most=2, now=now) == 2
    left = {record.id for record in await store.page(RecordFilter(), before_id=None, limit=10)}
    assert left == {old_in_flight.id, new[2].id, new[3].id}


async def test_what_is_reported_drives_out_nothing_that_was_seen_here(store: RecordStore) -> None:
    seen = [await _ended(store, _record(number), _ending()) for number in range(2)]
    reported = [await _ended(store, _record(10 + number, origin=Origin.REPORT), _ending()) for number in range(4)]
    assert await store.prune(older_than=timedelta(days=7), keep_at_most=2, now=NOW) == 2
    left = {record.id for record in await store.page(RecordFilter(), before_id=None, limit=10)}
    assert left == {record.id for record in (*seen, *reported[2:])}


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "naïve 🦊 ‮", "x" * 100_000, '"\\\n'])
async def test_text_of_any_kind_can_be_kept(store: RecordStore, text: str) -> None:
    timeline = ({"at_ms": 1, "event": "poll", "detail": text},)
    kept = await _ended(store, _record(model=text), _ending(detail=text, timeline=timeline))
    assert kept.detail is not None
    assert len(kept.detail) == len(text)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 100_000])
async def test_whatever_is_asked_for_is_only_not_found(store: RecordStore, text: str) -> None:
    await store.add(_record())
    assert await store.page(RecordFilter(provider=text), before_id=None, limit=10) == []
    assert (await store.get(text), await store.find_key(text, text)) == (None, None)


async def test_a_caller_who_stops_waiting_does_not_take_the_write_back(store: RecordStore) -> None:
    record = _record()
    writes = (
        lambda: store.add(record),
        lambda: store.submit(record.id, HANDLE, NOW),
        lambda: store.end(record.id, _ending()),
    )
    for write in writes:
        waiting = asyncio.ensure_future(write())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
    await store.add(_record(1))
    kept = await store.get(record.id)
    assert kept is not None
    assert (kept.outcome, kept.handle) == (Outcome.DELIVERED, HANDLE)


async def test_the_store_answers(store: RecordStore) -> None:
    await store.check()


LATER = ({"at_ms": 0, "event": "submitted"}, {"at_ms": 30_000, "event": "measured"})


async def test_what_is_found_out_later_is_kept_beside_what_was_known(store: RecordStore) -> None:
    render = RenderInterval(10.0, 20.25)
    kept = await _ended(store, _record(), _ending(render=render))
    assert kept.render == render
    measurement = Measurement(ChannelResult.MISSED, ChannelResult.WON)
    await store.note(kept.id, Findings(measurement=measurement), LATER)
    await store.note(kept.id, Findings(asset_check=AssetResult.WRONG_TYPE), LATER)
    found = Findings(measurement=measurement, asset_check=AssetResult.WRONG_TYPE)
    assert await store.get(kept.id) == replace(kept, findings=found, timeline=LATER)
    await store.note("nobody", found, LATER)
    assert await store.get("nobody") is None


async def test_what_is_found_out_anew_replaces_what_was_known_of_it_as_a_whole(store: RecordStore) -> None:
    kept = await _ended(store, _record(), _ending(render=RenderInterval(10.0, 20.25)))
    lagged = Measurement(ChannelResult.CONFIRMED, ChannelResult.WON, 1.5)
    alone = Measurement(ChannelResult.MISSED, ChannelResult.WON)
    await store.note(kept.id, Findings(measurement=lagged), LATER)
    found = await store.get(kept.id)
    assert found is not None
    assert found.findings.measurement == lagged
    await store.note(kept.id, Findings(measurement=alone), LATER, RenderInterval(20.0, math.inf))
    found = await store.get(kept.id)
    assert found is not None
    assert (found.findings.measurement, found.render) == (alone, RenderInterval(20.0, math.inf))


async def test_lateness_narrows_a_render_time_that_had_no_end(store: RecordStore) -> None:
    kept = await _ended(store, _record(), _expired(render=RenderInterval(60.0, math.inf)))
    assert kept.render == RenderInterval(60.0, math.inf)
    asset = Asset("https://cdn.test/late.webp", Kind.IMAGE)
    found = Findings(late_s=30.5, late_asset=asset, reconciled_at=NOW)
    await store.note(kept.id, found, LATER, RenderInterval(75.0, 105.5))
    late = await store.get(kept.id)
    assert late is not None
    assert (late.findings, late.render) == (found, RenderInterval(75.0, 105.5))
    assert (late.outcome, late.asset) == (Outcome.EXPIRED, None)


async def test_unreconciled_are_ones_own_expired_ones_with_a_job(store: RecordStore) -> None:
    mine = [
        await _ended(store, _record(number), _expired(ended_at=NOW + timedelta(seconds=number))) for number in range(3)
    ]
    await _ended(store, _record(10), _ending())
    await _ended(store, _record(11, instance="another"), _expired())
    without_job = _record(12)
    await store.add(without_job)
    await store.end(without_job.id, _expired())
    await store.note(mine[0].id, Findings(reconciled_at=NOW), LATER)
    assert await store.unreconciled("monitor", since=NOW, limit=10) == [mine[2], mine[1]]
    assert await store.unreconciled("monitor", since=NOW + timedelta(seconds=2), limit=10) == [mine[2]]
    assert await store.unreconciled("monitor", since=NOW, limit=1) == [mine[2]]


async def test_figures_count_the_channels_that_were_measured(store: RecordStore) -> None:
    results = [
        Measurement(ChannelResult.WON, ChannelResult.CONFIRMED, 7.0),
        Measurement(ChannelResult.WON, ChannelResult.FAILED),
        Measurement(ChannelResult.MISSED, ChannelResult.MISSED),
    ]
    for number, measurement in enumerate(results):
        kept = await _ended(store, _record(number), _ending())
        await store.note(kept.id, Findings(measurement=measurement), LATER)
    await _ended(store, _record(10), _ending())
    old = await _ended(store, _record(11), _ending(ended_at=NOW - timedelta(hours=1)))
    await store.note(old.id, Findings(measurement=results[0]), LATER)
    measured = (await store.figures(NOW)).measured
    assert measured[Channel.SSE] == {ChannelResult.WON: 2, ChannelResult.MISSED: 1}
    assert measured[Channel.POLLING] == {
        ChannelResult.CONFIRMED: 1,
        ChannelResult.FAILED: 1,
        ChannelResult.MISSED: 1,
    }


async def test_render_observations_are_the_newest_that_tell_something(store: RecordStore) -> None:
    intervals = [RenderInterval(1.0, 1.0), RenderInterval(10.0, 20.0), RenderInterval(60.0, math.inf)]
    for number, interval in enumerate(intervals):
        ended_at = NOW + timedelta(seconds=number)
        await _ended(store, _record(number, model=f"m{number}"), _ending(ended_at=ended_at, render=interval))
    await _ended(store, _record(10), _ending())
    seen = await store.render_observations(NOW, limit=10)
    assert seen == [RenderObservation("superduperai", f"m{n}", intervals[n]) for n in (2, 1, 0)]
    assert await store.render_observations(NOW + timedelta(seconds=1), limit=1) == seen[:1]


def _expired(**changes: Any) -> Ending:
    return _ending(outcome=Outcome.EXPIRED, reason=Reason.PENDING, channel=Channel.NONE, asset=None, **changes)
