"""The estimator against the truth: what the simulated provider does to each channel, and what we say of it."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from monitor.simulator.config import SimulatorConfig
from tests.serving import Running, running

GENERATIONS: Final = 2_000
AT_ONCE: Final = 150
SSE_LOSES, POLLING_ERRS = 0.37, 0.20
MIX: Final = {
    "healthy": (1 - SSE_LOSES) * (1 - POLLING_ERRS),
    "silent": SSE_LOSES * (1 - POLLING_ERRS),
    "poll_stale": (1 - SSE_LOSES) * POLLING_ERRS,
    "poll_500_always": SSE_LOSES * POLLING_ERRS,
}
"""The one channel fails without regard to the other. `silent` loses the event; the last two never show the asset."""
POLICY: Final = {"grace": 0.6, "interval": 0.6, "max_attempts": 6, "window": 4.0, "check_on_open": False}

pytestmark = pytest.mark.timeout(240)


async def summary_of(folder: Path, generations: int, **provider: Any) -> dict[str, Any]:
    """The summary after so many generations, when the channels that lost are through."""
    changes = {"policies": {"quick": POLICY}, "provider": {"max_measured": 10_000, **provider}}
    async with running(folder, SimulatorConfig(seed=3, mix=MIX, fixed_render_s=0.9), **changes) as service:
        free = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with free:
                await service.generate("a red fox")

        await asyncio.gather(*(one() for _ in range(generations)))
        return await _settled(service)


async def _settled(service: Running) -> dict[str, Any]:
    """The summary when it says the same twice."""
    before: Any = None
    while True:
        await asyncio.sleep(POLICY["window"] / 2)
        summary = await service.get("/v1/summary?window=1h")
        figures = summary["channels"], summary["outcomes"]
        if figures == before:
            assert isinstance(summary, dict)
            return summary
        before = figures


async def test_measured_rates_hold_the_truth_where_shares_of_wins_do_not(tmp_path: Path) -> None:
    summary = await summary_of(tmp_path, GENERATIONS, measured_ratio=1.0)
    sse, polling = summary["channels"]["sse"], summary["channels"]["polling"]
    assert sse["success"]["n"] == polling["success"]["n"] == GENERATIONS
    for figures, truth in ((sse, 1 - SSE_LOSES), (polling, 1 - POLLING_ERRS)):
        low, high = figures["success"]["interval"]
        assert low <= truth <= high
        assert not low <= figures["share"] <= high
    delivered = 1 - SSE_LOSES * POLLING_ERRS
    low, high = summary["delivery"]["interval"]
    assert low <= delivered <= high


async def test_a_sample_is_enough(tmp_path: Path) -> None:
    generations = 600
    summary = await summary_of(tmp_path, generations, measured_ratio=0.25)
    sse, polling = summary["channels"]["sse"]["success"], summary["channels"]["polling"]["success"]
    assert 0.15 * generations < sse["n"] == polling["n"] < 0.35 * generations
    for figures, truth in ((sse, 1 - SSE_LOSES), (polling, 1 - POLLING_ERRS)):
        assert abs(figures["ratio"] - truth) < 0.15  # over three standard errors
