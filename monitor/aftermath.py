"""What is found out about a generation after its outcome was told, outside its caller's path.

How the channel did that lost, what the delivered URL serves, and whether an expired one was only late.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from monitor.delivery.driver import Delivery
from monitor.delivery.facts import AssetChecked, ChannelsMeasured
from monitor.delivery.identity import new_span_id
from monitor.delivery.model import UNMEASURED, Asset, AssetResult, Generation, Kind, Origin, Outcome
from monitor.flight import Flight
from monitor.reconciler import Reconciler
from monitor.store.port import Findings, RecordStore
from monitor.telemetry.tracing import TraceSink

MAX_CHECKS: Final = 100
"""Of assets, at a time. What is delivered while so many are under way is not checked, unless it is a canary's."""

_logger = structlog.stdlib.get_logger(__name__)


class AssetCheck(Protocol):
    """What a stranger found at the URL of an asset."""

    @property
    def result(self) -> AssetResult: ...

    @property
    def status(self) -> int | None: ...

    @property
    def detail(self) -> str: ...


class AssetChecker(Protocol):
    """Fetches an asset as a stranger would. Never raises for what it finds."""

    async def check(self, url: str, kind: Kind) -> AssetCheck: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """Which generations of a provider are looked at more closely. Canaries always are."""

    measured_ratio: float
    max_measured: int
    """At a time. A place is taken before anything is seen, and kept until the end of the window, however it goes: so
    what it was like cannot bias the sample.
    """
    checked_ratio: float
    checker: AssetChecker


class Aftermath:
    """Begins where the outcome of a generation has been recorded and told."""

    def __init__(
        self, *, store: RecordStore, traces: TraceSink, samples: Mapping[str, Sample], reconciler: Reconciler
    ) -> None:
        self._store = store
        self._traces = traces
        self._samples = samples
        self._reconciler = reconciler
        self._measured: Counter[str] = Counter()
        self._checks = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def take_place(self, generation: Generation) -> bool:
        """Whether both channels of this generation are measured; then `begin` or `give_place_back` must follow."""
        sample = self._samples[generation.provider]
        is_canary = generation.origin is Origin.CANARY
        has_place = is_canary or self._measured[generation.provider] < sample.max_measured
        if not has_place or not _is_drawn(generation, "measured", sample.measured_ratio):
            return False
        self._measured[generation.provider] += 1
        return True

    def give_place_back(self, flight: Flight) -> None:
        """Nothing more will be measured of this generation."""
        if flight.is_measured:
            flight.is_measured = False
            self._measured[flight.generation.provider] -= 1

    def begin(self, flight: Flight) -> None:
        """The outcome of this flight is recorded and told, and was ours to tell."""
        asset = flight.record.asset
        if asset is not None and not self._takes_check(flight.generation):
            asset = None
        if flight.is_measured or asset is not None:
            self._spawn(flight, self._find_out(flight, asset))
        else:
            _tell(flight, self._wind_up(flight))
        if flight.record.outcome is Outcome.EXPIRED:
            self._reconciler.begin(flight)

    async def stop(self) -> None:
        """Close what lingers. What was not found out by now is not told; expired generations are resumed."""
        await self._reconciler.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _find_out(self, flight: Flight, asset: Asset | None) -> None:
        """A measurement counts when the window has ended: one that confirms would else count sooner than one that
        misses, and be all that is left of those that a stop cuts short.
        """
        try:
            checked = await self._watch(flight, asset)
            measured = self._wind_up(flight)
            if flight.measurement is not None:
                await _window_ends(flight.delivery)
        finally:
            self.give_place_back(flight)
        _tell(flight, measured)
        if flight.measurement is not None or checked is not None:
            findings = Findings(measurement=flight.measurement, asset_check=checked)
            await self._store.note(flight.record.id, findings, flight.timeline())

    async def _watch(self, flight: Flight, asset: Asset | None) -> AssetResult | None:
        """Until nothing is open any more. A trace is written of what a stop or a bug cuts short, too."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_linger(flight.delivery))
                checking = group.create_task(self._check(flight, asset))
        except BaseException:
            self._write_trace(flight)
            raise
        return checking.result()

    def _wind_up(self, flight: Flight) -> ChannelsMeasured | None:
        """That is all there will be of this generation, but for a look again. The fact is kept, and to be told yet."""
        measured = None
        if flight.record.outcome in (Outcome.DELIVERED, Outcome.EXPIRED):
            measured = ChannelsMeasured(asyncio.get_running_loop().time(), flight.measurement or UNMEASURED)
            flight.journal.append(measured)
        self._write_trace(flight)
        return measured

    def _write_trace(self, flight: Flight) -> None:
        """Trouble with traces is no trouble of a delivery."""
        try:
            self._traces.write(flight.generation, flight.journal.facts, flight.wall_at, flight.accepted_at_s)
        except Exception:
            _logger.exception("a trace could not be written", generation=flight.record.id)

    def _takes_check(self, generation: Generation) -> bool:
        """Whether its asset is checked, which then must follow. The place is taken here, where no other can come in."""
        has_place = generation.origin is Origin.CANARY or self._checks < MAX_CHECKS
        if not has_place or not _is_drawn(generation, "checked", self._samples[generation.provider].checked_ratio):
            return False
        self._checks += 1
        return True

    async def _check(self, flight: Flight, asset: Asset | None) -> AssetResult | None:
        """What the URL serves."""
        if asset is None:
            return None
        loop = asyncio.get_running_loop()
        began_at_s = loop.time()
        try:
            found = await self._samples[flight.generation.provider].checker.check(asset.url, asset.kind)
        finally:
            self._checks -= 1
        flight.emit(
            AssetChecked(loop.time(), began_at_s, new_span_id(), found.result, found.status, found.detail or None)
        )
        return found.result

    def _spawn(self, flight: Flight, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._done(flight, task))

    def _done(self, flight: Flight, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("what follows an outcome crashed", generation=flight.record.id, exc_info=error)


async def _linger(delivery: Delivery | None) -> None:
    """Also where nothing lingers any more: a loser that was through while the outcome was written is open still."""
    if delivery is not None:
        await delivery.linger()


async def _window_ends(delivery: Delivery | None) -> None:
    if delivery is not None:
        await asyncio.sleep(delivery.window_ends_at_s - asyncio.get_running_loop().time())


def _tell(flight: Flight, measured: ChannelsMeasured | None) -> None:
    if measured is not None:
        flight.tell(measured)


def _is_drawn(generation: Generation, what: str, ratio: float) -> bool:
    """The same answer each time for the same generation, also after a restart, and independent of anything else."""
    if generation.origin is Origin.CANARY:
        return True
    drawn = hashlib.blake2b(f"{what} {generation.id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) < ratio * 2.0**64
