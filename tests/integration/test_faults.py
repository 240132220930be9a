"""Every named fault of the provider, over real sockets: how a generation must end, and by which channel.

All of them run side by side in one service against one simulated provider, so the whole takes one window.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import pytest_asyncio

from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS
from tests.serving import QUICK, Running, running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240), pytest.mark.xdist_group("faults")]

SSE, POLLING, NONE, EITHER = {"sse"}, {"polling"}, {"none"}, {"sse", "polling"}
DELIVERED, FAILED, REJECTED, EXPIRED = "delivered", "provider_failed", "rejected", "expired"


@dataclass(frozen=True, slots=True)
class End:
    """How a generation must end. `reason` is only looked at where it is given."""

    outcome: str
    channels: set[str]
    reason: str | None = None
    flow: str = "file"


ENDS: Final[dict[str, End]] = {
    "healthy": End(DELIVERED, SSE),
    "silent": End(DELIVERED, POLLING),
    "dead_air": End(DELIVERED, POLLING),
    "early": End(DELIVERED, POLLING),
    "gap": End(DELIVERED, POLLING),
    "drop_mid_event": End(DELIVERED, SSE),
    "flapping": End(DELIVERED, EITHER),
    "refused": End(DELIVERED, POLLING),
    "reset": End(DELIVERED, POLLING),
    "sse_401": End(DELIVERED, POLLING),
    "sse_403": End(DELIVERED, POLLING),
    "sse_404": End(DELIVERED, POLLING),
    "sse_410": End(DELIVERED, POLLING),
    "sse_204": End(DELIVERED, POLLING),
    "sse_429": End(DELIVERED, POLLING),
    "sse_503": End(DELIVERED, POLLING),
    "sse_500": End(DELIVERED, POLLING),
    "sse_html": End(DELIVERED, POLLING),
    "sse_json": End(DELIVERED, POLLING),
    "sse_redirect": End(DELIVERED, SSE),
    "sse_redirect_elsewhere": End(DELIVERED, EITHER),
    "sse_slow_headers": End(DELIVERED, POLLING),
    "sse_524": End(DELIVERED, POLLING),
    "chunked": End(DELIVERED, SSE),
    "bom_cr": End(DELIVERED, SSE),
    "huge_event": End(DELIVERED, SSE),
    "malformed": End(DELIVERED, SSE),
    "progress_storm": End(DELIVERED, SSE),
    "progress_only": End(DELIVERED, POLLING),
    "null_url": End(DELIVERED, SSE),
    "file_id_only": End(DELIVERED, SSE),
    "thumbnail_first": End(DELIVERED, SSE),
    "duplicate": End(DELIVERED, SSE),
    "foreign": End(DELIVERED, SSE),
    "wrong_channel": End(DELIVERED, POLLING),
    "out_of_order": End(DELIVERED, SSE),
    "task_error": End(FAILED, SSE, "task_error"),
    "task_error_silent": End(FAILED, POLLING, "task_error"),
    "result_then_error": End(DELIVERED, SSE),
    "id_retry": End(DELIVERED, SSE),
    "never_closes": End(DELIVERED, SSE),
    "poll_5xx_burst": End(DELIVERED, POLLING),
    "poll_500_always": End(EXPIRED, NONE, "unavailable"),
    "poll_404_first": End(DELIVERED, POLLING),
    "poll_429": End(DELIVERED, POLLING),
    "poll_429_date": End(DELIVERED, POLLING),
    "poll_401_mid": End(EXPIRED, NONE, "unauthorized"),
    "poll_hangs": End(DELIVERED, POLLING),
    "poll_slow_body": End(DELIVERED, POLLING),
    "poll_garbage": End(DELIVERED, POLLING),
    "poll_stale": End(DELIVERED, SSE),
    "poll_completed_no_url": End(DELIVERED, POLLING),
    "poll_huge": End(DELIVERED, POLLING),
    "resolve_pending": End(DELIVERED, POLLING, flow="project"),
    "resolve_404": End(DELIVERED, POLLING, flow="project"),
    "resolve_500": End(DELIVERED, POLLING, flow="project"),
    "resolve_wrong_type": End(EXPIRED, NONE, "pending", flow="project"),
    "both_at_once": End(DELIVERED, EITHER),
    "late": End(EXPIRED, NONE, "pending"),
    "never": End(EXPIRED, NONE, "pending"),
    "last_moment": End(DELIVERED, EITHER),
    "create_400": End(REJECTED, NONE, "rejected"),
    "create_401": End(REJECTED, NONE, "unauthorized"),
    "create_402": End(REJECTED, NONE, "rejected"),
    "create_403": End(REJECTED, NONE, "unauthorized"),
    "create_422": End(REJECTED, NONE, "rejected"),
    "create_409": End(DELIVERED, SSE),
    "create_429": End(DELIVERED, SSE),
    "create_500_after_effect": End(REJECTED, NONE, "create_unknown"),
    "create_hangs": End(REJECTED, NONE, "create_unknown"),
    "create_object": End(DELIVERED, SSE),
    "create_list": End(DELIVERED, SSE),
    "create_list_of_three": End(DELIVERED, SSE),
    "create_project": End(DELIVERED, EITHER, flow="project"),
    "signed_url": End(DELIVERED, SSE),
    "no_extension": End(DELIVERED, SSE),
    "uppercase": End(DELIVERED, SSE),
    "data_url": End(EXPIRED, NONE, "pending"),
    "relative_url": End(DELIVERED, SSE),
    "asset_404": End(DELIVERED, SSE),
    "asset_html": End(DELIVERED, SSE),
    "asset_empty": End(DELIVERED, SSE),
    "asset_redirect_private": End(DELIVERED, SSE),
}

APART_S: Final = 0.05
"""From the start of one to that of the next, so that they do not hold each other up when all begin."""
IMPATIENT = {"connect_timeout": 3.0, "request_timeout": 3.0, "create_timeout": 3.0, "silence_limit": 1.5}


@dataclass(frozen=True, slots=True)
class Story:
    """What came of all faults: each generation, the provider's truth about it, and what was left open."""

    ended: dict[str, dict[str, Any]]
    truth: dict[str, dict[str, Any]]
    streams_left_open: int
    tasks_left: set[str]
    files_left: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """Run one generation for every fault, side by side."""
    folder: Path = tmp_path_factory.mktemp("faults")
    simulator = SimulatorConfig(fixed_render_s=1.5, heartbeat_s=0.5)
    async with running(folder, simulator, provider=IMPATIENT) as service:
        await service.generate("warm up [fault:healthy]")
        tasks, files = _tasks(), _files()
        asked = [_generate(service, place * APART_S, name) for place, name in enumerate(ENDS)]
        ended = dict(zip(ENDS, await asyncio.gather(*asked), strict=True))
        counts = await _settled(service.provider)
        jobs = (await service.provider("/-/jobs?limit=10000"))["jobs"]
        truth = {job["fault"]: await service.provider(f"/-/jobs/{job['id']}") for job in jobs}
        yield Story(ended, truth, counts, _tasks() - tasks, _files() - files)


async def _generate(service: Running, after_s: float, fault: str) -> dict[str, Any]:
    await asyncio.sleep(after_s)
    return await service.generate(f"a fox [fault:{fault}]", flow=ENDS[fault].flow)


async def _settled(provider: Any) -> int:
    """Streams that the provider still holds open, once it had the time to notice that they are closed."""
    left = -1
    for _ in range(50):
        left = (await provider("/-/counts"))["streams_open"]
        if not left:
            break
        await asyncio.sleep(0.1)
    return left


def _tasks() -> set[str]:
    """What runs for a generation."""
    names = (str(task.get_coro()) for task in asyncio.all_tasks())
    return {name for name in names if "Delivery" in name or "Runner" in name or "submit" in name}


def _files() -> int:
    """Open files but those of the database, whose pool grows to its size."""
    return len([file for file in psutil.Process().open_files() if "monitor.db" not in file.path])


async def test_every_fault_of_the_simulator_is_told_here() -> None:
    assert set(ENDS) == set(FAULTS)


@pytest.mark.parametrize("fault", ENDS)
async def test_a_generation_ends_as_it_must(story: Story, fault: str) -> None:
    generation, end = story.ended[fault], ENDS[fault]
    assert generation["outcome"] == end.outcome, generation
    assert generation["channel"] in end.channels, generation
    if end.reason is not None:
        assert generation["reason"] == end.reason, generation
    assert (generation["asset"] is not None) == (end.outcome == DELIVERED)
    assert [entry["event"] for entry in generation["timeline"]].count("ended") == 1


async def test_nothing_is_left_open(story: Story) -> None:
    assert story.streams_left_open == 0
    assert story.tasks_left == set()
    assert story.files_left <= 0


def _polls(generation: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in generation["timeline"] if entry["event"] == "poll"]


def _closings(generation: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in generation["timeline"] if entry["event"] == "sse_closed"]


async def test_silence_is_noticed_and_the_stream_reopened(story: Story) -> None:
    assert _closings(story.ended["dead_air"])[0]["reason"] == "silence"


@pytest.mark.parametrize("fault", ["sse_401", "sse_403", "sse_404", "sse_410", "sse_204", "sse_html", "sse_json"])
async def test_a_dead_stream_is_not_tried_again_and_polling_begins_early(story: Story, fault: str) -> None:
    generation = story.ended[fault]
    assert len(story.truth[fault]["connections"]) == 1
    assert {"early": True}.items() <= next(
        entry for entry in generation["timeline"] if entry["event"] == "polling_started"
    ).items()
    assert _polls(generation)[0]["at_ms"] < QUICK["grace"] * 1_000


@pytest.mark.parametrize("fault", ["sse_429", "sse_503"])
async def test_the_next_connect_waits_for_retry_after(story: Story, fault: str) -> None:
    assert _closings(story.ended[fault])[0]["retry_in_s"] >= 2.0


@pytest.mark.parametrize("fault", ["flapping", "sse_500"])
async def test_reconnects_back_off(story: Story, fault: str) -> None:
    assert len(story.truth[fault]["connections"]) <= 8


async def test_a_token_is_not_sent_to_another_origin(story: Story) -> None:
    redirected = story.truth["sse_redirect_elsewhere"]["connections"]
    assert all(not connection["authorised"] for connection in redirected[1:])


async def test_retry_and_the_last_event_id_are_honoured(story: Story) -> None:
    connections = story.truth["id_retry"]["connections"]
    assert connections[1]["last_event_id"]
    assert connections[1]["at_ms"] - connections[0]["ended_at_ms"] >= 4_900


async def test_rejections_carry_the_providers_words(story: Story) -> None:
    for status in (400, 401, 402, 403, 422):
        assert story.ended[f"create_{status}"]["detail"]


async def test_creates_are_repeated_only_when_no_job_was_made(story: Story) -> None:
    for fault in ("create_500_after_effect", "create_hangs"):
        assert len(story.truth[fault]["creates"]) == 1, fault


async def test_polls_wait_as_long_as_told(story: Story) -> None:
    polls = [entry for entry in _polls(story.ended["poll_429"]) if entry["attempt"] > 0]
    refused = [entry["at_ms"] for entry in polls if entry["result"] == "rate_limited"]
    for at_ms in refused:
        following = [entry["at_ms"] - entry.get("duration_ms", 0) for entry in polls if entry["at_ms"] > at_ms]
        assert following[0] - at_ms >= 1_990


async def test_a_thumbnail_is_never_delivered(story: Story) -> None:
    assert "thumbnail" not in story.ended["thumbnail_first"]["asset"]["url"]
