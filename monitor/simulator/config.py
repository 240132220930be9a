"""What the simulated provider is told before it starts."""

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from monitor.simulator.faults import check_mix

_Z95: Final = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class RenderTime:
    """A log-normal distribution of render times, by its median and 95th percentile in seconds. Raises ValueError."""

    median_s: float
    p95_s: float

    def __post_init__(self) -> None:
        if not 0 < self.median_s <= self.p95_s < math.inf:
            raise ValueError(
                f"render: median {self.median_s} s must be over 0 and at most p95 {self.p95_s} s, both finite"
            )

    def draw_s(self, rng: random.Random) -> float:
        """One render time."""
        return self.median_s * math.exp(math.log(self.p95_s / self.median_s) / _Z95 * rng.gauss(0.0, 1.0))


RENDER_TIMES: Final[Mapping[str, RenderTime]] = {
    "comfyui/flux": RenderTime(35, 120),
    "google-cloud/imagen3": RenderTime(20, 60),
    "google-cloud/imagen4": RenderTime(20, 60),
    "google-cloud/imagen4-ultra": RenderTime(20, 60),
    "fal-ai/flux-pro/v1.1-ultra": RenderTime(15, 45),
    "fal-ai/flux-pro/kontext": RenderTime(15, 45),
    "azure-openai/gpt-image-1": RenderTime(45, 120),
    "comfyui/ltx": RenderTime(90, 240),
    "fal-ai/kling-video/v2.1/standard/image-to-video": RenderTime(240, 600),
    "fal-ai/minimax/video-01/image-to-video": RenderTime(240, 600),
    "google-cloud/veo3-text2video": RenderTime(180, 420),
    "azure-openai/sora": RenderTime(240, 900),
}
"""Medians as suggested by reports of the real provider; it publishes none."""
OTHER_MODEL: Final = RenderTime(30, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """`time_scale` multiplies render times and the faults' delays; `fixed_render_s` replaces the drawn render times.

    `mix` gives the faults their weights. At most `max_jobs` jobs are remembered; those that ended are forgotten first.
    `heartbeat_s` is never scaled. A `token` of None lets everybody in. Raises ValueError naming what is wrong.
    """

    token: str | None = "simulator-token"  # noqa: S105 - it guards nothing
    seed: int = 0
    mix: Mapping[str, float] = field(default_factory=lambda: {"healthy": 1.0})
    render: Mapping[str, RenderTime] = field(default_factory=lambda: RENDER_TIMES)
    time_scale: float = 1.0
    fixed_render_s: float | None = None
    heartbeat_s: float = 15.0
    max_jobs: int = 10_000

    def __post_init__(self) -> None:
        check_mix(self.mix)
        for name in ("time_scale", "heartbeat_s", "max_jobs"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number over 0")
        if self.fixed_render_s is not None and not 0 <= self.fixed_render_s < math.inf:
            raise ValueError(f"fixed_render_s is {self.fixed_render_s}; it must be a finite number, 0 or more")
        if self.token == "":
            raise ValueError("token is empty; give one, or None to let everybody in")
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise ValueError("token has characters that no header can carry; allowed is visible ASCII")

    def draw_render_s(self, model: str, rng: random.Random) -> float:
        """How long a job takes, before scaling. The draw is made in any case, so that a seed tells the same story."""
        drawn_s = self.render.get(model, OTHER_MODEL).draw_s(rng)
        return drawn_s if self.fixed_render_s is None else self.fixed_render_s
