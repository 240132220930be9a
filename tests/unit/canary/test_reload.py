"""A reload that does not come off is told as one, whoever asked for it, and leaves the plan as it is."""

import asyncio

import pytest
from structlog.testing import capture_logs

from monitor.canary.reload import Reloader
from monitor.delivery.errors import SettingsInvalid, StoreUnavailable
from monitor.settings import Settings, load_settings
from monitor.testing.virtual_time import VirtualClock
from tests.unit.canary.guard import NOON, Guard
from tests.unit.canary.test_plan import PROVIDERS, plan

CANARY = {"name": "x", "prompt": "a lighthouse", "interval": 60, "enabled": False, "price_usd": 0.04}


class _Reloading:
    """A reloader of a keeper that has begun, and what it noted."""

    def __init__(self, error: Exception | None = None) -> None:
        self.noted: list[bool] = []
        self.written: list[str] = []
        """Names of the one canary in the file, at each look at it; then it is x."""
        self.guard = Guard(plan({**CANARY, "name": "before"}), VirtualClock(NOON))
        self._error = error
        self.reloader = Reloader(
            running=self._settings(), read=self._read, keeper=self.guard.keeper, note=self.noted.append
        )

    @property
    def names(self) -> list[str]:
        return [canary.name for canary in self.guard.keeper.plan.canaries]

    def _read(self) -> Settings:
        if self._error is not None:
            raise self._error
        return self._settings(self.written.pop(0) if self.written else "x")

    def _settings(self, name: str = "x") -> Settings:
        return load_settings(overrides={"providers": PROVIDERS, "canary": [{**CANARY, "name": name}]})


async def test_a_store_that_does_not_answer_leaves_the_plan_and_is_noted() -> None:
    made = _Reloading()
    async with made.guard as guard:
        guard.store.is_failing = True
        with pytest.raises(StoreUnavailable):
            await made.reloader.reload()
        assert (made.noted, made.names) == ([False], ["before"])
        guard.store.is_failing = False
        await made.reloader.reload()
        assert (made.noted, made.names) == ([False, True], ["x"])


async def test_of_two_who_ask_at_once_the_later_plan_stays() -> None:
    made = _Reloading()
    async with made.guard as guard:
        guard.store.delay_s = 0.02
        made.written = ["new", "before"]  # to put a new one in force takes longer
        first, second = await asyncio.gather(made.reloader.reload(), made.reloader.reload())
        assert [first.canaries, second.canaries] == [("new",), ("before",)]
        assert made.names == ["before"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SettingsInvalid(["canary.0.name: is missing"]), "the settings are not valid; the canaries before go on"),
        (RuntimeError("a bug"), "a reload crashed"),
    ],
)
async def test_for_a_signal_what_is_wrong_is_noted_and_in_the_log(error: Exception, says: str) -> None:
    made = _Reloading(error)
    async with made.guard:
        with capture_logs() as logged:
            made.reloader.reload_soon()
            (task,) = made.reloader._tasks
            await task
    assert says in [line["event"] for line in logged]
    assert (made.noted, made.names) == ([False], ["before"])
