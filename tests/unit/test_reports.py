"""Reports when the store is in trouble, when there are too many, and when the service stops: each counts once."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from monitor.delivery.clock import Clock
from monitor.delivery.errors import Overloaded, ShuttingDown, StoreUnavailable
from monitor.delivery.facts import Accepted, Ended
from monitor.delivery.model import Channel, Kind, Outcome
from monitor.reports import MAX_WAITING, PATIENCE_S, Receipt, Report, ReportIntake
from monitor.testing.memory_store import MemoryRecordStore
from tests.stand import Observed, Traces

pytestmark = pytest.mark.virtual_time


@dataclass
class Desk:
    """An intake on doubles."""

    store: MemoryRecordStore = field(default_factory=MemoryRecordStore)
    observer: Observed = field(default_factory=Observed)
    traces: Traces = field(default_factory=Traces)
    max_per_minute: int = 100_000

    def __post_init__(self) -> None:
        self.intake = ReportIntake(
            store=self.store,
            observer=self.observer,
            traces=self.traces,
            clock=Clock(),
            instance="monitor",
            max_per_minute=self.max_per_minute,
        )


def seen(number: int = 0) -> Report:
    """A delivery that an application saw an hour ago."""
    return Report(
        id=f"r{number}",
        provider="superduperai",
        model="comfyui/flux",
        kind=Kind.IMAGE,
        started_at=Clock().now() - timedelta(hours=1),
        outcome=Outcome.DELIVERED,
        channel=Channel.POLLING,
        attempts=2,
        waited_s=20.0,
        reason=None,
        said=b"{}",
    )


def many(number: int) -> list[Report]:
    return [seen(at) for at in range(number)]


async def test_its_facts_are_those_of_a_generation_and_its_wait_is_exact() -> None:
    desk = Desk()
    ((receipt, generation_id),) = await desk.intake.take("app", [seen()])
    assert receipt is Receipt.ACCEPTED
    accepted, ended = desk.observer.facts
    assert isinstance(accepted, Accepted)
    assert isinstance(ended, Ended)
    assert ended.submitted_at_s is not None
    assert ended.at_s - ended.submitted_at_s == 20.0
    assert desk.observer.generation.id == generation_id
    assert desk.traces.written == [(ended,)]


async def test_trouble_with_traces_is_no_trouble_of_a_report() -> None:
    desk = Desk()
    desk.traces.is_broken = True
    ((receipt, _),) = await desk.intake.take("app", [seen()])
    assert (receipt, len(desk.observer.ended)) == (Receipt.ACCEPTED, 1)


async def test_a_store_in_trouble_is_not_waited_for_without_end_and_what_it_takes_later_counts_once() -> None:
    desk = Desk()
    desk.store.is_failing = True
    began_at_s = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailable, match="send the reports again"):
        await desk.intake.take("app", many(3))
    assert asyncio.get_running_loop().time() - began_at_s == PATIENCE_S
    assert desk.observer.facts == []
    desk.store.is_failing = False
    receipts = await desk.intake.take("app", many(3))
    assert [receipt for receipt, _ in receipts] == [Receipt.DUPLICATE] * 3
    assert len(desk.observer.ended) == 3


async def test_a_caller_who_goes_does_not_take_the_reports_along() -> None:
    desk = Desk(MemoryRecordStore(delay_s=1.0))
    waiting = asyncio.create_task(desk.intake.take("app", many(3)))
    await asyncio.sleep(0.5)
    waiting.cancel()
    await asyncio.wait((waiting,))
    await asyncio.sleep(1)
    assert len(desk.observer.ended) == 3


async def test_what_waits_for_the_store_has_a_limit() -> None:
    desk = Desk()
    desk.store.is_failing = True
    waiting = [asyncio.create_task(desk.intake.take("app", many(500))) for _ in range(MAX_WAITING // 500)]
    await asyncio.sleep(1)
    with pytest.raises(Overloaded, match="reports wait for the store") as caught:
        await desk.intake.take("app", [seen()])
    assert caught.value.retry_after_s > 0
    desk.store.is_failing = False
    await asyncio.wait(waiting)
    assert len(desk.observer.ended) == 500
    assert await desk.intake.take("app", [seen()])


async def test_each_caller_has_an_allowance_that_comes_back_with_time() -> None:
    desk = Desk(max_per_minute=60)
    await desk.intake.take("app", many(60))
    with pytest.raises(Overloaded, match="60 reports of 'app' came in a minute") as caught:
        await desk.intake.take("app", many(1))
    assert caught.value.retry_after_s == 1
    await desk.intake.take("other", many(60))
    await asyncio.sleep(caught.value.retry_after_s)
    await desk.intake.take("app", many(30))
    with pytest.raises(Overloaded) as caught:
        await desk.intake.take("app", many(1))
    assert caught.value.retry_after_s == 30


async def test_a_stop_lets_what_is_under_way_be_recorded_and_takes_no_more() -> None:
    desk = Desk(MemoryRecordStore(delay_s=1.0))
    waiting = asyncio.create_task(desk.intake.take("app", many(3)))
    await asyncio.sleep(0.5)
    await desk.intake.stop(5.0)
    assert len(await waiting) == 3
    assert len(desk.observer.ended) == 3
    with pytest.raises(ShuttingDown):
        await desk.intake.take("app", many(1))


async def test_a_stop_does_not_wait_without_end() -> None:
    desk = Desk()
    desk.store.is_failing = True
    waiting = asyncio.create_task(desk.intake.take("app", many(3)))
    await asyncio.sleep(0.5)
    await desk.intake.stop(2.0)
    with pytest.raises(StoreUnavailable):
        await waiting
