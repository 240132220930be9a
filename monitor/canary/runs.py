"""Makes one run of a canary, or says why not: claimed by one service, alone, not paused, and paid for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from monitor.canary.money import Micros
from monitor.canary.plan import Canary, Plan
from monitor.canary.spending import Account, Choice, Decision, accounts, decide_on_demand, decide_tick
from monitor.canary.turns import Turn
from monitor.delivery.clock import Clock
from monitor.delivery.errors import MonitorError, Overloaded, ShuttingDown, StoreUnavailable
from monitor.delivery.model import GenerationRequest
from monitor.store.ledger import CanaryLedger
from monitor.store.port import Record
from monitor.telemetry.canary_series import CanarySeries
from monitor.telemetry.catalog import Skip

_SKIPS: Final = {Choice.THIN: Skip.THINNED, Choice.STOP: Skip.LIMIT}
_LOUD: Final = (Skip.LIMIT, Skip.STORE)
"""Somebody should hear of these; the others are as planned."""

_logger = structlog.stdlib.get_logger(__name__)


class RunRefused(MonitorError):
    """A run was not made. `skip` is why, in a word."""

    def __init__(self, canary: str, skip: Skip, detail: str) -> None:
        super().__init__(f"canary {canary} does not run: {detail}")
        self.skip = skip
        self.detail = detail


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tick that this service left out."""

    at: datetime
    skip: Skip
    detail: str


class Launcher(Protocol):
    """Takes generations on; the runner is one. Raises Overloaded, ShuttingDown, StoreUnavailable."""

    async def accept(self, provider: str, request: GenerationRequest, *, canary: str | None) -> tuple[Record, bool]: ...


class CanaryRuns:
    """Makes runs. `longest_run` is after what time one whose end nobody recorded is believed to be over."""

    def __init__(
        self, *, ledger: CanaryLedger, launcher: Launcher, clock: Clock, series: CanarySeries, longest_run: timedelta
    ) -> None:
        self._ledger = ledger
        self._launcher = launcher
        self._clock = clock
        self._series = series
        self._longest_run = longest_run
        self._begun: set[str] = set()
        self.left_out: dict[str, LeftOut] = {}
        """By canary, the last one since this service began."""

    async def on_tick(self, plan: Plan, canary: Canary, turn: Turn) -> None:
        """Make the run that is due, if no other service has claimed it. What stands in the way is counted and told."""
        try:
            if await self._ledger.claim(canary.name, turn.tick.planned_at):
                self._series.skipped(canary.provider, canary.name, Skip.MISSED, turn.missed)
                await self._run_claimed(plan, canary, turn)
        except RunRefused as refusal:
            self._leave_out(canary, refusal.skip, refusal.detail)
        except (Overloaded, ShuttingDown) as error:
            self._leave_out(canary, Skip.BUSY, str(error))
        except StoreUnavailable as error:
            self._leave_out(canary, Skip.STORE, str(error))

    async def on_demand(self, plan: Plan, canary: Canary) -> Record:
        """Make one run now, also of a canary that is paused or not enabled: whoever asks means it.

        Raises RunRefused where it is running already or a limit stands in the way, and what `Launcher` raises.
        """
        with self._alone(canary):
            await self._refuse_overlap(canary)
            now = self._clock.now()
            _refuse_unpaid(canary, decide_on_demand(plan, canary, now, await self._spent(plan, canary, now)))
            return await self._pay_and_launch(plan, canary, now)

    async def _run_claimed(self, plan: Plan, canary: Canary, turn: Turn) -> None:
        with self._alone(canary):
            await self._refuse_paused(canary)
            await self._refuse_overlap(canary)
            now = self._clock.now()
            spent = await self._spent(plan, canary, now)
            _refuse_unpaid(canary, decide_tick(plan, canary, turn.tick, now, spent))
            await self._pay_and_launch(plan, canary, now)

    @contextmanager
    def _alone(self, canary: Canary) -> Iterator[None]:
        """Between the look whether it runs and its record in the store, no other run of it begins here."""
        if canary.name in self._begun:
            raise RunRefused(canary.name, Skip.OVERLAP, "another run of it is just beginning")
        self._begun.add(canary.name)
        try:
            yield
        finally:
            self._begun.discard(canary.name)

    async def _refuse_paused(self, canary: Canary) -> None:
        for pause in await self._ledger.pauses():
            if pause.canary == canary.name and pause.holds_at(self._clock.now()):
                raise RunRefused(canary.name, Skip.PAUSED, f"paused until {pause.until:%Y-%m-%d %H:%M} UTC")

    async def _refuse_overlap(self, canary: Canary) -> None:
        last = (await self._ledger.last_runs([canary.name], 1))[canary.name]
        if last and last[0].outcome is None and abs(self._clock.now() - last[0].created_at) < self._longest_run:
            raise RunRefused(canary.name, Skip.OVERLAP, f"its last run, {last[0].generation_id}, is still in flight")

    async def _spent(self, plan: Plan, canary: Canary, now: datetime) -> dict[Account, Micros]:
        limited = [account for account in accounts(plan, canary, now) if account.limit is not None]
        return await read_spent(self._ledger, limited)

    async def _pay_and_launch(self, plan: Plan, canary: Canary, now: datetime) -> Record:
        """Money first: a crash between may count a run that was not made, and never makes one that is not counted.

        What costs nothing needs none, also where a limit was made smaller than what is spent.
        """
        counted = {account.key: account for account in accounts(plan, canary, now) if canary.cost > 0}
        refused = await self._ledger.spend(canary.cost, {key: account.limit for key, account in counted.items()})
        if refused is not None:
            raise RunRefused(canary.name, Skip.LIMIT, f"{counted[refused]} was spent up by others meanwhile")
        try:
            record, _ = await self._launcher.accept(canary.provider, canary.request, canary=canary.name)
        except (Overloaded, ShuttingDown, StoreUnavailable):
            await self._ledger.give_back(canary.cost, counted)
            raise
        self._series.spent(canary.provider, canary.name, canary.cost)
        return record

    def _leave_out(self, canary: Canary, skip: Skip, detail: str) -> None:
        self._series.skipped(canary.provider, canary.name, skip)
        self.left_out[canary.name] = LeftOut(self._clock.now(), skip, detail)
        say = _logger.warning if skip in _LOUD else _logger.info
        say("a canary that was due does not run", canary=canary.name, reason=skip.value, detail=detail)


async def read_spent(ledger: CanaryLedger, counted: Sequence[Account]) -> dict[Account, Micros]:
    """What is spent in each of these accounts."""
    if not counted:
        return {}
    spent = await ledger.spent(account.key for account in counted)
    return {account: Micros(spent.get(account.key, 0)) for account in counted}


def _refuse_unpaid(canary: Canary, decision: Decision) -> None:
    if (skip := _SKIPS.get(decision.choice)) is not None:
        raise RunRefused(canary.name, skip, str(decision))
