"""What canaries must not forget, whoever restarts: ticks that were taken, money that was spent, pauses.

Services that share a store share all of it. One contract suite holds all ledgers to this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from monitor.delivery.model import Channel, Outcome, Reason


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Where money is counted: of a holder (`name` is empty where there is but one), in the span that begins then."""

    holder: str
    name: str
    span: str
    begins_at: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody does not want a canary to run from `since` to `until`."""

    canary: str
    reason: str
    since: datetime
    until: datetime

    def holds_at(self, moment: datetime) -> bool:
        """Whether it is not over by then."""
        return moment < self.until


@dataclass(frozen=True, slots=True)
class CanaryRun:
    """What became of one run; `outcome` is None while it is in flight."""

    generation_id: str
    created_at: datetime
    outcome: Outcome | None
    reason: Reason | None
    channel: Channel | None
    duration_s: float | None


class CanaryLedger(Protocol):
    """Keeps what canaries did. Amounts are millionths of a US dollar. Every call may raise `StoreUnavailable`.

    What was written is durable when the call returns.
    """

    async def claim(self, canary: str, planned_at: datetime) -> bool:
        """True for the one who may run this tick, or leave it out; False for all others, for good."""
        ...

    async def spend(self, micros: int, limits: Mapping[AccountKey, int | None]) -> AccountKey | None:
        """Count in all of these accounts, or in none when that would go past a limit: then, whose it is."""
        ...

    async def give_back(self, micros: int, accounts: Iterable[AccountKey]) -> None:
        """Take back what was counted for a run that was not made."""
        ...

    async def spent(self, accounts: Iterable[AccountKey]) -> dict[AccountKey, int]:
        """What is counted in these; those without anything are left out."""
        ...

    async def pause(self, pause: Pause) -> None:
        """Keep it, in place of an earlier one of the same canary."""
        ...

    async def resume(self, canary: str) -> None:
        """Forget its pause, if there is one."""
        ...

    async def pauses(self) -> list[Pause]:
        """All that were not forgotten, by name; some may be over."""
        ...

    async def last_runs(self, canaries: Sequence[str], limit: int) -> dict[str, list[CanaryRun]]:
        """The newest runs of each, newest first."""
        ...

    async def last_delivered_at(self, canary: str) -> datetime | None:
        """When a run of it was last delivered, as far as records go back."""
        ...

    async def forget(self, *, claims_before: datetime, accounts_before: datetime) -> None:
        """Let go of ticks planned, pauses over, and spans begun before then."""
        ...
