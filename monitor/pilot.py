"""Brings one generation to its verdict: from the create call, or from where a crash left it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.aftermath import Aftermath
from monitor.delivery.driver import Delivery
from monitor.delivery.errors import GenerationRejected
from monitor.delivery.facts import Resumed, Submitted
from monitor.delivery.model import Channel, GenerationRequest, Handle, Outcome, Reason, Verdict
from monitor.delivery.policy import Policy
from monitor.delivery.ports import Provider
from monitor.delivery.race import Race
from monitor.delivery.submission import submit
from monitor.flight import Flight


@dataclass(frozen=True, slots=True)
class Lane:
    """A provider with the policies of its models."""

    provider: Provider
    policy_of: Callable[[str], Policy]


class Pilot:
    """Flies what the runner owns. It writes nothing: that the provider has the job is told to `submitted`."""

    def __init__(self, lanes: Mapping[str, Lane], aftermath: Aftermath, submitted: Callable[[Flight], None]) -> None:
        self._lanes = lanes
        self._aftermath = aftermath
        self._submitted = submitted

    def policy_of(self, provider: str, model: str) -> Policy:
        """How a generation of this model is waited for."""
        return self._lanes[provider].policy_of(model)

    async def fly(self, flight: Flight, request: GenerationRequest) -> Verdict:
        """The verdict on a new generation."""
        loop = asyncio.get_running_loop()
        if flight.was_cancelled():
            return _cancelled(loop.time())
        provider = self._lanes[flight.generation.provider].provider
        flight.submission = loop.create_task(submit(provider, request, flight.generation.trace, flight.emit))
        try:
            handle = await flight.submission
        except GenerationRejected as error:
            return Verdict(Outcome.REJECTED, Channel.NONE, loop.time(), reason=error.reason, detail=error.detail)
        except asyncio.CancelledError:
            if flight.was_cancelled():
                return _cancelled(loop.time())
            raise
        finally:
            flight.submission = None
        now_s = loop.time()
        flight.submitted(handle, now_s)
        self._submitted(flight)
        policy = self.policy_of(flight.generation.provider, flight.generation.model)
        flight.emit(Submitted(now_s, policy.grace_s))
        return await self._drive(flight, handle, Race(policy, now_s, lingers=self._takes_place(flight)))

    async def fly_on(self, flight: Flight) -> Verdict:
        """The verdict on a generation that another process began."""
        now_s, handle, submitted_at_s = asyncio.get_running_loop().time(), flight.record.handle, flight.submitted_at_s
        flight.emit(Resumed(now_s, submitted_at_s))
        if handle is None or submitted_at_s is None:
            detail = "the service stopped before the create call was answered; it may have made a job"
            return Verdict(Outcome.REJECTED, Channel.NONE, now_s, reason=Reason.CREATE_UNKNOWN, detail=detail)
        if flight.generation.provider not in self._lanes:
            detail = f"provider {flight.generation.provider!r} is no longer in the settings"
            return Verdict(Outcome.EXPIRED, Channel.NONE, now_s, reason=Reason.MONITOR_DOWN, detail=detail)
        policy = self.policy_of(flight.generation.provider, flight.generation.model)
        race = Race(policy, submitted_at_s, resumed_at_s=now_s)  # measured it is not: we were away, not the channel
        if now_s >= race.deadline_at_s:
            return Verdict(Outcome.EXPIRED, Channel.NONE, now_s, race.attempts, reason=Reason.MONITOR_DOWN)
        return await self._drive(flight, handle, race)

    def _takes_place(self, flight: Flight) -> bool:
        flight.is_measured = self._aftermath.take_place(flight.generation)
        return flight.is_measured

    async def _drive(self, flight: Flight, handle: Handle, race: Race) -> Verdict:
        provider = self._lanes[flight.generation.provider].provider
        flight.delivery = Delivery(provider, handle, race, flight.generation.trace, flight.emit)
        if flight.was_cancelled():
            flight.delivery.cancel()
        return await flight.delivery.run()


def _cancelled(at_s: float) -> Verdict:
    return Verdict(Outcome.CANCELLED, Channel.NONE, at_s, reason=Reason.CALLER)
