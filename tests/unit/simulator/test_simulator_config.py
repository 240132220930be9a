"""What the simulator accepts as its settings, and that its dice depend on the seed alone."""

import math
import random
import statistics
from typing import Any

import pytest

from monitor.simulator.config import OTHER_MODEL, RENDER_TIMES, RenderTime, SimulatorConfig
from monitor.simulator.faults import FAULTS


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"time_scale": 0}, "time_scale is 0"),
        ({"time_scale": math.nan}, "time_scale is nan"),
        ({"time_scale": math.inf}, "time_scale is inf"),
        ({"heartbeat_s": -1}, "heartbeat_s is -1"),
        ({"max_jobs": 0}, "max_jobs is 0"),
        ({"fixed_render_s": -0.1}, "fixed_render_s is -0.1"),
        ({"fixed_render_s": math.nan}, "fixed_render_s is nan"),
        ({"token": ""}, "token is empty"),
        ({"token": "a\nb"}, "token has characters"),
        ({"token": "café"}, "token has characters"),
        ({"mix": {}}, "mix: at least one"),
        ({"mix": {"healthy": 0.0}}, "mix: at least one"),
        ({"mix": {"healthy": -1.0}}, "the weight of healthy is -1"),
        ({"mix": {"healthy": math.inf}}, "the weight of healthy is inf; it must be a finite number"),
        ({"mix": {"healthy": math.nan}}, "the weight of healthy is nan"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SimulatorConfig(**wrong)


def test_an_unknown_fault_in_the_mix_lists_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="there is no fault 'sielnt'") as caught:
        SimulatorConfig(mix={"sielnt": 1.0})
    assert all(name in str(caught.value) for name in FAULTS)


@pytest.mark.parametrize(("median_s", "p95_s"), [(0, 1), (2, 1), (-1, 1), (1, math.inf), (math.nan, 1)])
def test_a_render_time_that_cannot_be_is_refused(median_s: float, p95_s: float) -> None:
    with pytest.raises(ValueError, match="render"):
        RenderTime(median_s, p95_s)


def test_render_times_have_the_median_and_the_tail_that_was_asked_for() -> None:
    dice = random.Random(7)
    drawn = sorted(RenderTime(35, 120).draw_s(dice) for _ in range(20_000))
    assert statistics.median(drawn) == pytest.approx(35, rel=0.03)
    assert drawn[19_000] == pytest.approx(120, rel=0.05)


def test_a_model_that_it_does_not_know_has_a_render_time_too() -> None:
    drawn_s = SimulatorConfig().draw_render_s("somebody/new", random.Random(1))
    assert drawn_s == OTHER_MODEL.draw_s(random.Random(1))


def test_a_fixed_render_time_uses_up_the_same_dice() -> None:
    fixed, drawn = random.Random(1), random.Random(1)
    assert SimulatorConfig(fixed_render_s=2.5).draw_render_s("comfyui/flux", fixed) == 2.5
    SimulatorConfig().draw_render_s("comfyui/flux", drawn)
    assert fixed.random() == drawn.random()


def test_known_medians_are_ordered_as_reports_say() -> None:
    assert RENDER_TIMES["fal-ai/flux-pro/v1.1-ultra"].median_s < RENDER_TIMES["comfyui/flux"].median_s
    assert RENDER_TIMES["comfyui/flux"].median_s < RENDER_TIMES["azure-openai/sora"].median_s
