"""The estimator against the truth: what the simulated provider does to each channel, and what we say of it."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from monitor import reconciler
from monitor.simulator.config import SimulatorConfig
from tests.serving import Running, running

GENERATIONS: Final = 2_000
AT_ONCE: Final = 150
PER_SECOND: Final = 80
"""They come evenly: in a burst, streams would open only when their event is gone, which is no fault of the provider."""
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


async def summary_of(folder: Path, generations: int, **provider: Any) -> tuple[dict[str, Any], float]:
    """The summary after so many generations, when the channels that lost are through; and the share of them whose event
    reached a listener, as the provider knows: where the machine is busy, some streams open only after it.
    """
    changes = {"policies": {"quick": POLICY}, "provider": {"max_measured": 10_000, **provider}}
    async with running(folder, SimulatorConfig(seed=3, mix=MIX, fixed_render_s=0.9), **changes) as service:
        free = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            await asyncio.sleep(number / PER_SECOND)
            async with free:
                await service.generate("a red fox")

        await asyncio.gather(*(one(number) for number in range(generations)))
        return await _settled(service), await _told_by_sse(service, generations)


async def _told_by_sse(service: Running, generations: int) -> float:
    told = 0
    for job in (await service.provider(f"/-/jobs?limit={generations}"))["jobs"]:
        events = (await service.provider(f"/-/jobs/{job['id']}"))["events"]
        told += any(event["type"] == "file" and event["subscribers"] for event in events)
    return told / generations


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
    summary, told_by_sse = await summary_of(tmp_path, GENERATIONS, measured_ratio=1.0)
    sse, polling = summary["channels"]["sse"], summary["channels"]["polling"]
    assert sse["success"]["n"] == polling["success"]["n"] == GENERATIONS
    assert told_by_sse == pytest.approx(1 - SSE_LOSES, abs=0.05)
    for figures, truth in ((sse, told_by_sse), (polling, 1 - POLLING_ERRS)):
        low, high = figures["success"]["interval"]
        assert low <= truth <= high
        assert not low <= figures["share"] <= high
    delivered = 1 - SSE_LOSES * POLLING_ERRS
    low, high = summary["delivery"]["interval"]
    assert low <= delivered <= high


async def test_a_sample_is_enough(tmp_path: Path) -> None:
    generations = 600
    summary, _ = await summary_of(tmp_path, generations, measured_ratio=0.25)
    sse, polling = summary["channels"]["sse"]["success"], summary["channels"]["polling"]["success"]
    assert 0.15 * generations < sse["n"] == polling["n"] < 0.35 * generations
    for figures, truth in ((sse, 1 - SSE_LOSES), (polling, 1 - POLLING_ERRS)):
        assert abs(figures["ratio"] - truth) < 0.15  # over three standard errors


async def _record(service: Running, prompt: str, field: str) -> dict[str, Any]:
    """A generation, as soon as `field` was found out about it."""
    ended = await service.generate(prompt)
    async with asyncio.timeout(30):
        while True:
            record: dict[str, Any] = await service.get(f"/v1/generations/{ended['id']}")
            if record[field] is not None:
                return record
            await asyncio.sleep(0.05)


CHECKS = {"healthy": "ok", "asset_html": "wrong_type", "asset_empty": "empty", "asset_404": "unreachable"}


@pytest.mark.parametrize("fault", CHECKS)
async def test_what_a_delivered_url_serves_is_told_beside_the_outcome(tmp_path: Path, fault: str) -> None:
    provider = {"checked_ratio": 1.0, "measured_ratio": 0.0, "check_private_assets": True}
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.2), provider=provider) as service:
        record = await _record(service, f"a fox [fault:{fault}]", "asset_check")
        assert (record["outcome"], record["asset_check"]) == ("delivered", CHECKS[fault])
        labels = {"provider": "superduperai", "result": CHECKS[fault]}
        assert service.registry.get_sample_value("generation_asset_checks_total", labels) == 1


async def test_private_addresses_are_left_alone_unless_that_is_asked_for(tmp_path: Path) -> None:
    provider = {"checked_ratio": 1.0, "measured_ratio": 0.0}
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.2), provider=provider) as service:
        record = await _record(service, "a fox", "asset_check")
    assert record["asset_check"] == "unreachable"
    assert "not public" in str(record["timeline"])


async def test_what_is_ready_after_the_window_is_expired_and_then_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "LOOKS_AFTER_S", (0.2, 0.6, 1.4, 3.0))
    policy = {"grace": 0.2, "interval": 0.2, "max_attempts": 3, "window": 1.0}
    simulator = SimulatorConfig(time_scale=0.02)  # 90 s become 1.8 s
    async with running(tmp_path, simulator, policies={"quick": policy}) as service:
        record = await _record(service, "a fox [fault:late]", "late")
        summary = await service.get("/v1/summary?window=1h")
    assert (record["outcome"], record["asset"]) == ("expired", None)
    assert record["late"]["asset"]["url"].startswith("http")
    assert record["late"]["seconds"] >= 0.6
    assert summary["outcomes"]["expired"] == 1
    (render,) = summary["render_times"]
    after_s, by_s = render["seconds"]["p50"]
    assert after_s <= 1.8 <= by_s
    assert service.registry.get_sample_value("generation_late_seconds_count", {"provider": "superduperai"}) == 1
