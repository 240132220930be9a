"""A runner on doubles, for tests in virtual time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor.aftermath import Aftermath, Sample
from monitor.delivery.clock import Clock
from monitor.delivery.facts import Ended, Fact
from monitor.delivery.model import AssetResult, Flow, Generation, GenerationRequest, Handle, Kind
from monitor.delivery.policy import FIXED
from monitor.pilot import Lane
from monitor.reconciler import Reconciler
from monitor.runner import Runner
from monitor.store.port import Record
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.scripted_provider import Connection, Say, ScriptedProvider, ready

HANDLE = Handle(Flow.FILE, "f", Kind.IMAGE)
REQUEST = GenerationRequest("a fox", "comfyui/flux")
DELIVERS = (Connection(says=(Say(3.0, ready()),)),)


class Observed:
    """An observer that keeps all facts, and the ends apart."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []
        self.facts: list[Fact] = []

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        self.generation = generation
        self.facts.append(fact)
        if isinstance(fact, Ended):
            self.ended.append(fact)


class Traces:
    """A trace sink that keeps the facts of each, or raises when it is told to."""

    def __init__(self) -> None:
        self.is_broken = False
        self.written: list[Sequence[Fact]] = []
        self.added: list[Sequence[Fact]] = []

    def write(
        self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime], began_at_s: float
    ) -> None:
        if self.is_broken:
            raise RuntimeError("no room for a trace")
        self.written.append(tuple(facts))

    def add(self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime]) -> None:
        self.added.append(tuple(facts))

    async def close(self) -> None:
        pass


@dataclass
class Found:
    """What a check of an asset found."""

    result: AssetResult = AssetResult.OK
    status: int | None = 200
    detail: str = ""


@dataclass
class FakeChecker:
    """Finds what it is told to."""

    found: Found = field(default_factory=Found)
    urls: list[str] = field(default_factory=list)

    async def check(self, url: str, kind: Kind) -> Found:
        self.urls.append(url)
        await asyncio.sleep(1)
        return self.found


class JumpingClock(Clock):
    """A wall clock that a person may set."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Stand:
    """A runner on doubles."""

    provider: ScriptedProvider = field(default_factory=lambda: ScriptedProvider(HANDLE, connections=DELIVERS))
    store: MemoryRecordStore = field(default_factory=MemoryRecordStore)
    observer: Observed = field(default_factory=Observed)
    traces: Traces = field(default_factory=Traces)
    clock: JumpingClock = field(default_factory=JumpingClock)
    max_in_flight: int = 2
    measured_ratio: float = 0.0
    max_measured: int = 100
    checked_ratio: float = 0.0
    checker: FakeChecker = field(default_factory=FakeChecker)

    def reconciler(self) -> Reconciler:
        return Reconciler(
            store=self.store,
            observer=self.observer,
            traces=self.traces,
            providers={"superduperai": self.provider},
            clock=self.clock,
            instance="monitor",
        )

    def aftermath(self) -> Aftermath:
        sample = Sample(self.measured_ratio, self.max_measured, self.checked_ratio, self.checker)
        return Aftermath(
            store=self.store, traces=self.traces, samples={"superduperai": sample}, reconciler=self.reconciler()
        )

    def runner(self) -> Runner:
        self.after = self.aftermath()
        return Runner(
            lanes={"superduperai": Lane(self.provider, lambda _: FIXED)},
            store=self.store,
            observer=self.observer,
            aftermath=self.after,
            clock=self.clock,
            instance="monitor",
            max_in_flight=self.max_in_flight,
        )

    def last_generation(self) -> Generation:
        return self.observer.generation

    async def run(self, runner: Runner, **options: Any) -> Record:
        record, _ = await runner.accept("superduperai", REQUEST, **options)
        ended = await runner.wait(record.id, 1000)
        assert ended is not None
        return ended
