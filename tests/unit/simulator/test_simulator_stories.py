"""Stories that must come to an end whatever the clock does between two of its instants."""

import asyncio

import pytest

from monitor.simulator import stories
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.stage import Stage


@pytest.mark.virtual_time
@pytest.mark.parametrize("begins_at_s", [0.0, 1.417, 1.074, 0.728])
async def test_a_storm_ends_though_the_last_of_it_is_less_than_the_clock_can_tell(begins_at_s: float) -> None:
    await asyncio.sleep(begins_at_s)
    stage = Stage(SimulatorConfig())
    dice = stage.book.next_dice()
    prompt = "[fault:progress_storm][render:1.5]"
    job = stage.book.make(
        dice,
        config={"prompt": prompt, "generation_config_name": "comfyui/flux"},
        kind="image",
        fault=stage.book.choose_fault(prompt, dice),
        is_project=False,
        origin="http://127.0.0.1:9100",
        traceparent=None,
    )
    stories.begin(stage, job)
    job.connected.set()
    await job.completed.wait()
    assert job.completed_at_ms == pytest.approx(1000 * job.render_s, abs=21)
    await stage.close()
