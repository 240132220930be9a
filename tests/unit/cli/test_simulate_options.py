"""What `simulate-provider` is told in words, as weights and as distributions."""

import pytest

from monitor.cli.simulate import parse_mix, parse_render_times
from monitor.simulator.config import RenderTime


def test_weights_are_read_by_fault() -> None:
    assert parse_mix(["silent=3", " healthy = 7"]) == {"silent": 3.0, "healthy": 7.0}


@pytest.mark.parametrize("items", [["silent"], ["silent=x"], ["silent=1,healthy=2"], ["silent=1", "silent=2"]])
def test_a_mix_that_is_none_is_refused(items: list[str]) -> None:
    with pytest.raises(ValueError, match="mix: "):
        parse_mix(items)


def test_render_times_are_read_by_model() -> None:
    told = parse_render_times(["comfyui/flux=8/20", "somebody/new=0.5/0.5"])
    assert told == {"comfyui/flux": RenderTime(8, 20), "somebody/new": RenderTime(0.5, 0.5)}


@pytest.mark.parametrize(
    "item", ["", "comfyui/flux", "comfyui/flux=8", "=8/20", "a=8/20/30", "a=x/y", "a=20/8", "a=0/8", "a=nan/8"]
)
def test_a_render_time_that_is_none_is_refused(item: str) -> None:
    with pytest.raises(ValueError, match="render: "):
        parse_render_times([item])
