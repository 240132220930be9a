"""The composition root: settings in, one aiohttp application out. Nothing else builds objects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.aftermath import Aftermath, Sample
from monitor.canary.bell import SchedulerBell
from monitor.canary.keeper import CanaryKeeper
from monitor.canary.plan import build_plan
from monitor.canary.reload import Reloader
from monitor.canary.runs import CanaryRuns
from monitor.delivery.clock import Clock
from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.ports import Observer
from monitor.delivery.submission import longest_submission_s
from monitor.pilot import Lane
from monitor.providers.asset_check import open_asset_checker
from monitor.providers.http import open_provider_http
from monitor.providers.superduper import SuperDuperProvider, url_template
from monitor.reconciler import Reconciler
from monitor.reports import ReportIntake
from monitor.runner import Runner
from monitor.settings import ProviderSettings, Settings
from monitor.store.sql import SqlRecordStore, open_sql_store
from monitor.store.tenancy import hold_instance
from monitor.telemetry.setup import Telemetry, build_telemetry
from monitor.web import api, canaries, operations, pages, pass_through, reports, summary
from monitor.web.access import AccessControl
from monitor.web.context import CONTEXT, Context
from monitor.web.events import OpenStreams
from monitor.web.problems import problem_middleware

PRUNE_EVERY_S: Final = 600.0
KEEP_CLAIMS: Final = timedelta(days=7)
"""Ticks that were taken longer ago are not due again, however the clock jumps."""
KEEP_ACCOUNTS: Final = timedelta(days=62)
"""A month, and one more to look back at."""
STREAMS_PER_GENERATION: Final = 2
"""How many callers may follow events at a time, for each generation that may be in flight."""

_logger = structlog.stdlib.get_logger(__name__)


def build_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    registry: CollectorRegistry | None = None,
    observers: Sequence[Observer] = (),
    read_again: Callable[[], Settings] | None = None,
) -> web.Application:
    """Wire everything; open nothing. Safe to call many times in one process.

    `observers` hear every fact after the service's own; one that raises is counted and harms nothing. `read_again`
    reads the settings anew, for a reload; without it they stay as they are.
    """
    clock = clock or Clock()
    app = web.Application(middlewares=[problem_middleware], client_max_size=settings.server.max_body_bytes)
    telemetry = build_telemetry(settings, registry, observers, url_template, clock)
    service = _Service(settings, clock, telemetry, read_again or (lambda: settings))
    app.cleanup_ctx.append(service.run)
    app.on_shutdown.append(service.close_doors)
    app.on_response_prepare.append(reports.allow_origin)
    app.on_response_prepare.append(service.count_refusals)
    for room in (api, canaries, reports, summary, operations, pass_through, pages):
        app.add_routes(room.routes)
    return app


class _Service:
    """What is open while the application runs, opened top down and closed bottom up."""

    def __init__(
        self, settings: Settings, clock: Clock, telemetry: Telemetry, read_again: Callable[[], Settings]
    ) -> None:
        self._settings = settings
        self._read_again = read_again
        self._clock = clock
        self._telemetry = telemetry
        self._runner: Runner | None = None

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Open everything, take up what was in flight, and close in order."""
        settings, grace_s = self._settings, self._settings.server.shutdown_grace
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._telemetry.close)
            store = await stack.enter_async_context(open_sql_store(settings.store.url, drain_s=grace_s / 3))
            await stack.enter_async_context(hold_instance(settings.store.url, settings.server.instance))
            providers = {item.name: await self._open_provider(item, stack) for item in settings.providers}
            reconciler = self._build_reconciler(providers, store)
            aftermath = await self._build_aftermath(store, reconciler, stack)
            stack.push_async_callback(aftermath.stop)
            runner = self._build_runner(providers, store, aftermath)
            stack.push_async_callback(runner.stop, grace_s * 2 / 3)
            intake = self._build_intake(store)
            stack.push_async_callback(intake.stop, grace_s / 10)  # its callers were waited for
            keeper = self._build_keeper(runner, store)
            reloader = self._build_reloader(keeper)
            app[CONTEXT] = self._context(runner, intake, keeper, reloader, store, providers)
            if resumed := await runner.resume():
                _logger.info("took up generations of the last run", generations=resumed)
            if resumed := await reconciler.resume():
                _logger.info("looks again at expired generations of the last run", generations=resumed)
            stack.push_async_callback(keeper.stop, grace_s / 10)
            await keeper.begin()
            stack.push_async_callback(reloader.stop)
            work = (self._prune(store), self._telemetry.watch_loop(), runner.heed_cancels())
            background = [asyncio.create_task(item) for item in work]
            self._runner = runner
            yield
            for task in background:
                task.cancel()
            await asyncio.wait(background)

    async def close_doors(self, _: web.Application) -> None:
        """The first thing at a stop: callers that wait are let go."""
        if self._runner is not None:
            self._runner.close_doors()

    async def count_refusals(self, _: web.Request, answer: web.StreamResponse) -> None:
        """Callers who are told to come again later are counted, whatever the limit was."""
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._telemetry.note_refusal()

    async def _open_provider(self, settings: ProviderSettings, stack: AsyncExitStack) -> SuperDuperProvider:
        return SuperDuperProvider(await stack.enter_async_context(open_provider_http(settings)))

    def _build_reconciler(self, providers: dict[str, SuperDuperProvider], store: SqlRecordStore) -> Reconciler:
        return Reconciler(
            store=store,
            observer=self._telemetry.observer,
            traces=self._telemetry.traces,
            providers=providers,
            clock=self._clock,
            instance=self._settings.server.instance,
        )

    async def _build_aftermath(self, store: SqlRecordStore, reconciler: Reconciler, stack: AsyncExitStack) -> Aftermath:
        samples = {}
        for item in self._settings.providers:
            checker = await stack.enter_async_context(
                open_asset_checker(allow_private_addresses=item.check_private_assets, timeout_s=item.request_timeout)
            )
            samples[item.name] = Sample(item.measured_ratio, item.max_measured, item.checked_ratio, checker)
        return Aftermath(store=store, traces=self._telemetry.traces, samples=samples, reconciler=reconciler)

    def _build_runner(
        self, providers: dict[str, SuperDuperProvider], store: SqlRecordStore, aftermath: Aftermath
    ) -> Runner:
        settings = self._settings
        lanes = {}
        for item in settings.providers:
            policies = {model: settings.policy(item.policy_of(model)) for model in item.models}
            default = settings.policy(item.policy)
            lanes[item.name] = Lane(providers[item.name], lambda model, p=policies, d=default: p.get(model, d))  # type: ignore[misc]
        return Runner(
            lanes=lanes,
            store=store,
            observer=self._telemetry.observer,
            aftermath=aftermath,
            clock=self._clock,
            instance=settings.server.instance,
            max_in_flight=settings.server.max_in_flight,
        )

    def _build_intake(self, store: SqlRecordStore) -> ReportIntake:
        return ReportIntake(
            store=store,
            observer=self._telemetry.observer,
            traces=self._telemetry.traces,
            clock=self._clock,
            instance=self._settings.server.instance,
            max_per_minute=self._settings.reports.max_per_minute,
        )

    def _build_keeper(self, runner: Runner, store: SqlRecordStore) -> CanaryKeeper:
        settings, series = self._settings, self._telemetry.canaries
        runs = CanaryRuns(
            ledger=store.ledger,
            launcher=runner,
            clock=self._clock,
            series=series,
            longest_run=self._longest_run(),
        )
        return CanaryKeeper(
            plan=build_plan(settings),
            runs=runs,
            ledger=store.ledger,
            clock=self._clock,
            series=series,
            hang_bell=SchedulerBell,
        )

    def _build_reloader(self, keeper: CanaryKeeper) -> Reloader:
        return Reloader(running=self._settings, read=self._read_again, keeper=keeper, note=self._telemetry.note_reload)

    def _context(
        self,
        runner: Runner,
        intake: ReportIntake,
        keeper: CanaryKeeper,
        reloader: Reloader,
        store: SqlRecordStore,
        providers: dict[str, SuperDuperProvider],
    ) -> Context:
        def before_scrape() -> None:
            self._telemetry.note_store(store.waiting, store.failures)

        return Context(
            settings=self._settings,
            access=AccessControl(self._settings.tokens),
            runner=runner,
            streams=OpenStreams(STREAMS_PER_GENERATION * self._settings.server.max_in_flight),
            reports=intake,
            canaries=keeper,
            reloader=reloader,
            store=store,
            clock=self._clock,
            registry=self._telemetry.registry,
            providers=providers,
            before_scrape=before_scrape,
        )

    def _longest_run(self) -> timedelta:
        """After what time a generation has ended, whoever ran it."""
        providers, policy = self._settings.providers, self._settings.policy
        names = {name for item in providers for name in (item.policy, *item.model_policies.values())}
        create_s = max(provider.create_timeout for provider in providers)
        return timedelta(seconds=longest_submission_s(create_s) + max(policy(name).window_s for name in names))

    async def _prune(self, store: SqlRecordStore) -> None:
        """Delete old records now and then."""
        keep = self._settings.store
        while True:
            try:
                now, age = self._clock.now(), timedelta(days=keep.retention_days)
                gone = await store.prune(older_than=age, keep_at_most=keep.max_records, now=now)
                await store.ledger.forget(claims_before=now - KEEP_CLAIMS, accounts_before=now - KEEP_ACCOUNTS)
                if gone:
                    _logger.info("deleted old records", records=gone)
            except StoreUnavailable as error:
                _logger.warning("old records could not be deleted", error=str(error))
            await asyncio.sleep(PRUNE_EVERY_S)
