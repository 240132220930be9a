"""Takes a changed plan of canaries from the settings while the service runs. What else was changed needs a restart."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from monitor.canary.keeper import CanaryKeeper
from monitor.canary.plan import build_plan
from monitor.delivery.errors import SettingsInvalid, StoreUnavailable
from monitor.settings import ProviderSettings, Settings, check_canaries

_OF_CANARIES: Final = {"canary", "canaries"}
_LIMITS: Final = ("max_canary_usd_per_day", "max_canary_usd_per_month")

_logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload came to: the canaries in force, which of them are new or changed, and what waits for a restart."""

    canaries: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    limits_changed: bool
    """Of a provider, or of all canaries together."""
    needs_restart: tuple[str, ...]


class Reloader:
    """Reads the settings anew when somebody asks. `note` is told whether it went well."""

    def __init__(
        self, *, running: Settings, read: Callable[[], Settings], keeper: CanaryKeeper, note: Callable[[bool], None]
    ) -> None:
        self._running = running
        self._read = read
        self._keeper = keeper
        self._note = note
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def reload(self) -> Reloaded:
        """Put the plan of the settings in force. The one before stays where anything is wrong.

        Raises SettingsInvalid, StoreUnavailable.
        """
        async with self._one_at_a_time:
            is_taken = False
            try:
                reloaded = await self._reload()
                is_taken = True
            except SettingsInvalid as error:
                said = "the settings are not valid; the canaries before go on"
                _logger.error(said, problems=list(error.problems))  # noqa: TRY400 - the trace would tell nothing
                raise
            except StoreUnavailable as error:
                _logger.error("the plan could not be put in force", error=str(error))  # noqa: TRY400
                raise
            finally:
                self._note(is_taken)
        _tell(reloaded)
        return reloaded

    def reload_soon(self) -> None:
        """The same for a signal: nobody waits, and what is wrong is in the log."""
        task = asyncio.get_running_loop().create_task(self._reload_quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Let go of a reload that is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except (SettingsInvalid, StoreUnavailable):
            pass  # logged
        except Exception:
            _logger.exception("a reload crashed")

    async def _reload(self) -> Reloaded:
        read = await asyncio.to_thread(self._read)
        merged = _merge(self._running, read)
        if problems := check_canaries(merged):
            raise SettingsInvalid([f"{problem} (what is new in [[providers]] needs a restart)" for problem in problems])
        before, plan = self._keeper.plan, build_plan(merged)
        await self._keeper.replace(plan)
        names = {canary.name for canary in plan.canaries}
        return Reloaded(
            canaries=tuple(canary.name for canary in plan.canaries),
            changed=tuple(canary.name for canary in plan.canaries if canary != before.canary(canary.name)),
            gone=tuple(canary.name for canary in before.canaries if canary.name not in names),
            limits_changed=(before.limits, before.provider_limits, before.zone)
            != (plan.limits, plan.provider_limits, plan.zone),
            needs_restart=_differing(merged, read),
        )


def _tell(reloaded: Reloaded) -> None:
    said = "canaries run as the settings say now"
    _logger.info(said, canaries=reloaded.canaries, changed=reloaded.changed, gone=reloaded.gone)
    if reloaded.needs_restart:
        _logger.warning("other settings were changed and need a restart", sections=reloaded.needs_restart)


def _merge(running: Settings, read: Settings) -> Settings:
    """What runs, with the canaries that were read, and with the limits that providers set them."""
    providers = tuple(_with_limits(provider, read.provider(provider.name)) for provider in running.providers)
    return running.model_copy(update={"canary": read.canary, "canaries": read.canaries, "providers": providers})


def _with_limits(running: ProviderSettings, read: ProviderSettings | None) -> ProviderSettings:
    return running if read is None else running.model_copy(update={name: getattr(read, name) for name in _LIMITS})


def _differing(merged: Settings, read: Settings) -> tuple[str, ...]:
    others = (name for name in Settings.model_fields if name not in _OF_CANARIES)
    return tuple(name for name in others if getattr(merged, name) != getattr(read, name))
