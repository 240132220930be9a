"""What the handlers are given by the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.canary.keeper import CanaryKeeper
from monitor.canary.reload import Reloader
from monitor.delivery.clock import Clock
from monitor.delivery.model import GenerationRequest
from monitor.reports import ReportIntake
from monitor.runner import Runner
from monitor.settings import Settings
from monitor.store.port import RecordStore
from monitor.web.access import AccessControl
from monitor.web.events import OpenStreams


class CallersProvider(Protocol):
    """What callers get of a provider beside its generations. Both raise ChannelError."""

    def check(self, request: GenerationRequest) -> None:
        """Whether it can be asked for at all; nothing is sent."""
        ...

    async def fetch_raw(self, what: str, subject_id: str) -> bytes:
        """The provider's own JSON about a file or a project."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a handler may need."""

    settings: Settings
    access: AccessControl
    runner: Runner
    streams: OpenStreams
    reports: ReportIntake
    canaries: CanaryKeeper
    reloader: Reloader
    store: RecordStore
    clock: Clock
    registry: CollectorRegistry
    providers: Mapping[str, CallersProvider]
    before_scrape: Callable[[], None]
    """Brings gauges that are only read at a scrape up to date."""


CONTEXT: Final = web.AppKey("CONTEXT", Context)
