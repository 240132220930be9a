"""A keeper of canaries on doubles, for tests in virtual time."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from monitor.canary.keeper import CanaryKeeper
from monitor.canary.plan import Plan
from monitor.canary.runs import CanaryRuns
from monitor.delivery.model import GenerationRequest, Origin, Outcome
from monitor.store.port import Record
from monitor.telemetry import catalog
from monitor.telemetry.canary_series import CanarySeries
from monitor.telemetry.catalog import Metric
from monitor.testing.memory_ledger import MemoryCanaryLedger
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.virtual_time import VirtualBell, VirtualClock
from tests.records import new_ending, new_record

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Launched:
    """Takes runs on, and ends each after `takes_s`; or refuses all, whereupon the store may fail."""

    clock: VirtualClock
    store: MemoryRecordStore
    takes_s: float = 1.0
    outcome: Outcome = Outcome.DELIVERED
    refusal: Exception | None = None
    breaks_store: bool = False
    runs: list[tuple[str, datetime]] = field(default_factory=list)
    asked: list[GenerationRequest] = field(default_factory=list)

    async def accept(self, provider: str, request: GenerationRequest, *, canary: str | None) -> tuple[Record, bool]:
        if self.refusal is not None:
            self.store.is_failing = self.store.is_failing or self.breaks_store
            raise self.refusal
        now = self.clock.now()
        record = new_record(created_at=now, provider=provider, origin=Origin.CANARY, canary=canary)
        await self.store.add(record)
        self.runs.append((canary or "", now))
        self.asked.append(request)
        asyncio.get_running_loop().call_later(self.takes_s, self._end, record)
        return record, True

    def _end(self, record: Record) -> None:
        ending = new_ending(outcome=self.outcome)
        self.store.records[record.id] = replace(record, outcome=ending.outcome, ended_at=self.clock.now())

    def times(self, canary: str = "x") -> list[datetime]:
        """When it ran."""
        return [at for name, at in self.runs if name == canary]


class Guard:
    """Everything that a keeper needs, with the keeper; beside another one, on the same store and clock."""

    def __init__(self, plan: Plan, clock: VirtualClock, beside: "Guard | None" = None) -> None:
        self.plan = plan
        self.clock = clock
        self.store: MemoryRecordStore = beside.store if beside else MemoryRecordStore()
        self.ledger: MemoryCanaryLedger = beside.ledger if beside else MemoryCanaryLedger(self.store)
        self.registry = CollectorRegistry()
        self.launched = Launched(self.clock, self.store)
        self.series = CanarySeries(self.registry, self.clock)
        runs = CanaryRuns(
            ledger=self.ledger,
            launcher=self.launched,
            clock=self.clock,
            series=self.series,
            longest_run=timedelta(minutes=3),
        )
        self.keeper = CanaryKeeper(
            plan=self.plan,
            runs=runs,
            ledger=self.ledger,
            clock=self.clock,
            series=self.series,
            hang_bell=lambda ring: VirtualBell(self.clock, ring),
        )

    async def __aenter__(self) -> "Guard":
        await self.keeper.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keeper.stop(1.0)

    def skipped(self, reason: str, canary: str = "x") -> float:
        """How many of its runs were left out, for this reason."""
        return self.value(catalog.CANARY_SKIPPED, provider="two", canary=canary, reason=reason) or 0.0

    def value(self, metric: Metric, **labels: Any) -> float | None:
        """What the metric says."""
        return self.registry.get_sample_value(metric.name, labels)
