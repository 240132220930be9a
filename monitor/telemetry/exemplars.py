"""Decides which samples name the generation that they come from."""

from monitor.delivery.facts import Ended
from monitor.delivery.model import Generation
from monitor.settings import TracingSettings
from monitor.telemetry.catalog import ExemplarLabel
from monitor.telemetry.tracing import is_worth_keeping


class Exemplars:
    """Those whose trace is kept: the last exemplar of a bucket stays, so others would only hide them."""

    def __init__(self, settings: TracingSettings) -> None:
        self._settings = settings

    def of(self, generation: Generation, end: Ended | None = None) -> dict[str, str] | None:
        """By its end; without it, only if its trace is kept however it goes."""
        return self.of_expired(generation) if is_worth_keeping(generation, end, self._settings) else None

    def of_expired(self, generation: Generation) -> dict[str, str]:
        """What was found out later about one that expired, so that its trace was kept.

        A trace that is not exported is not named: the timeline is there in any case.
        """
        said: dict[str, str] = {ExemplarLabel.GENERATION_ID: generation.id}
        if self._settings.endpoint is not None:
            said[ExemplarLabel.TRACE_ID] = generation.trace.trace_id
        return said
