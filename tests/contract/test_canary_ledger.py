"""What every ledger of canaries must do."""

import asyncio
from datetime import UTC, datetime, timedelta

from monitor.delivery.model import Channel, Origin, Outcome, Reason
from monitor.store.ledger import AccountKey, CanaryLedger, CanaryRun, Pause
from monitor.store.port import RecordStore
from tests.records import NOW, new_ending, new_record

DAY = datetime(2026, 1, 31, tzinfo=UTC)
MONTH = datetime(2026, 1, 1, tzinfo=UTC)
OWN = AccountKey("canary", "fox", "day", DAY)
TOTAL = AccountKey("total", "", "day", DAY)
TOTAL_MONTH = AccountKey("total", "", "month", MONTH)


async def test_of_many_who_claim_a_tick_one_gets_it(ledger: CanaryLedger) -> None:
    got = await asyncio.gather(*(ledger.claim("fox", NOW) for _ in range(20)))
    assert got.count(True) == 1
    assert await ledger.claim("owl", NOW)
    assert await ledger.claim("fox", NOW + timedelta(milliseconds=1))
    assert not await ledger.claim("fox", NOW)


async def test_money_is_counted_in_all_accounts(ledger: CanaryLedger) -> None:
    assert await ledger.spend(40_000, {OWN: None, TOTAL: 100_000, TOTAL_MONTH: None}) is None
    assert await ledger.spend(40_000, {TOTAL: 100_000}) is None
    everything = (OWN, TOTAL, TOTAL_MONTH, AccountKey("canary", "owl", "day", DAY))
    assert await ledger.spent(everything) == {OWN: 40_000, TOTAL: 80_000, TOTAL_MONTH: 40_000}
    assert await ledger.spent([OWN]) == {OWN: 40_000}
    assert await ledger.spent([]) == {}


async def test_what_would_go_past_one_limit_is_counted_nowhere(ledger: CanaryLedger) -> None:
    await ledger.spend(70_000, {TOTAL: 100_000})
    assert await ledger.spend(40_000, {OWN: None, TOTAL: 100_000, TOTAL_MONTH: 1}) == TOTAL
    assert await ledger.spent([OWN, TOTAL]) in ({TOTAL: 70_000}, {OWN: 0, TOTAL: 70_000})
    assert await ledger.spend(30_000, {OWN: None, TOTAL: 100_000}) is None, "to the last of it"
    assert await ledger.spend(1, {TOTAL: 100_000}) == TOTAL


async def test_of_many_who_spend_at_once_none_goes_past_the_limit(ledger: CanaryLedger) -> None:
    each = {OWN: 1_000_000, TOTAL: 100_000}
    refused = await asyncio.gather(*(ledger.spend(30_000, each) for _ in range(10)))
    assert refused.count(None) == 3
    assert await ledger.spent([OWN, TOTAL]) == {OWN: 90_000, TOTAL: 90_000}


async def test_what_is_given_back_can_be_spent_again(ledger: CanaryLedger) -> None:
    await ledger.spend(100_000, {OWN: None, TOTAL: 100_000})
    await ledger.give_back(100_000, [OWN, TOTAL])
    assert await ledger.spend(100_000, {TOTAL: 100_000}) is None


async def test_a_pause_stands_until_it_is_replaced_or_forgotten(ledger: CanaryLedger) -> None:
    first = Pause("fox", "maintenance", NOW, NOW + timedelta(hours=1))
    second = Pause("fox", "it takes longer: \0 \ud800", NOW, NOW + timedelta(hours=2))
    await ledger.pause(first)
    assert await ledger.pauses() == [first]
    await ledger.pause(Pause("elk", "budget", NOW, NOW + timedelta(days=1)))
    await ledger.pause(second)
    names = {pause.canary: pause.until for pause in await ledger.pauses()}
    assert names == {"elk": NOW + timedelta(days=1), "fox": second.until}
    await ledger.resume("fox")
    await ledger.resume("nobody")
    assert [pause.canary for pause in await ledger.pauses()] == ["elk"]


async def test_the_last_runs_are_told_newest_first(store: RecordStore, ledger: CanaryLedger) -> None:
    runs = [new_record(number, origin=Origin.CANARY, canary="fox") for number in range(4)]
    for record in (*runs, new_record(9, origin=Origin.CANARY, canary="owl"), new_record(10)):
        await store.add(record)
    await store.end(runs[2].id, new_ending())
    lost = new_ending(outcome=Outcome.EXPIRED, reason=Reason.PENDING, channel=Channel.NONE, asset=None)
    await store.end(runs[1].id, lost)
    told = await ledger.last_runs(["fox", "nobody"], limit=3)
    assert told == {
        "fox": [
            CanaryRun(runs[3].id, runs[3].created_at, None, None, None, None),
            CanaryRun(runs[2].id, runs[2].created_at, Outcome.DELIVERED, None, Channel.POLLING, 20.25),
            CanaryRun(runs[1].id, runs[1].created_at, Outcome.EXPIRED, Reason.PENDING, Channel.NONE, 20.25),
        ],
        "nobody": [],
    }
    assert await ledger.last_delivered_at("fox") == new_ending().ended_at
    assert await ledger.last_delivered_at("owl") is None


async def test_of_many_canaries_each_has_its_own_last_runs(store: RecordStore, ledger: CanaryLedger) -> None:
    names = [f"c{number}" for number in range(230)]
    made = [new_record(number, origin=Origin.CANARY, canary=name) for number, name in enumerate(names[::2])]
    for record in made:
        await store.add(record)
    told = await ledger.last_runs(names, limit=2)
    assert list(told) == names
    assert {run.generation_id for runs in told.values() for run in runs} == {record.id for record in made}
    assert told["c4"][0].generation_id == made[2].id


async def test_what_is_old_is_let_go_of_and_the_rest_stands(ledger: CanaryLedger) -> None:
    later = NOW + timedelta(days=3)
    for at in (NOW, later):
        assert await ledger.claim("fox", at)
        await ledger.pause(Pause(f"p{at.day}", "work", at, at + timedelta(hours=1)))
    await ledger.spend(5, {TOTAL_MONTH: None, TOTAL: None})
    await ledger.forget(claims_before=later, accounts_before=DAY)
    assert await ledger.claim("fox", NOW)
    assert not await ledger.claim("fox", later)
    assert [pause.until for pause in await ledger.pauses()] == [later + timedelta(hours=1)]
    assert await ledger.spent([TOTAL_MONTH, TOTAL]) == {TOTAL: 5}


async def test_a_pause_that_began_long_ago_is_kept_until_it_is_over(ledger: CanaryLedger) -> None:
    pause = Pause("fox", "budget", NOW, NOW + timedelta(days=30))
    await ledger.pause(pause)
    await ledger.forget(claims_before=NOW + timedelta(days=7), accounts_before=DAY)
    assert await ledger.pauses() == [pause]


async def test_a_run_keeps_whose_it_is(store: RecordStore, ledger: CanaryLedger) -> None:
    record = new_record(origin=Origin.CANARY, canary="fox")
    await store.add(record)
    kept = await store.get(record.id)
    assert kept is not None
    assert (kept.canary, kept.generation.canary) == ("fox", "fox")
