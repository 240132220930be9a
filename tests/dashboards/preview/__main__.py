"""Plays some minutes of service, provider and Prometheus on loopback, and draws every dashboard from what was seen.

`python -m tests.dashboards.preview`, or `make dashboards-preview`, which takes seven minutes.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from monitor import reconciler
from monitor.simulator.config import RenderTime, SimulatorConfig
from tests.dashboards import asking
from tests.dashboards.asking import Board, Time
from tests.dashboards.preview.kinds import Found
from tests.dashboards.preview.page import draw_page
from tests.dashboards.scene import MODELS, Scene, now_s, open_scene

FOLDER: Final = Path("docs/dashboards")
TIMES_FASTER: Final = 60
POLICY: Final = {"grace": 2.0, "interval": 2.0, "max_attempts": 6, "window": 15.0}
RENDER: Final = {MODELS[0]: RenderTime(12, 28), MODELS[1]: RenderTime(6, 16)}
TIME_SCALE: Final = 0.2
A_SECOND: Final = 12.0
WELL: Final = {"healthy": 94.0, "silent": 3.0, "poll_404_first": 2.0, "flapping": 1.0}
SSE_TROUBLE: Final = {"silent": 45.0, "sse_503": 20.0, "flapping": 15.0, "dead_air": 10.0, "healthy": 10.0}
PROVIDER_TROUBLE: Final = {
    "healthy": 60.0,
    "poll_5xx_burst": 24.0,
    "late": 5.0,
    "poll_500_always": 2.0,
    "asset_404": 7.0,
}
STORY: Final = ((110, WELL), (80, SSE_TROUBLE), (60, WELL), (40, PROVIDER_TROUBLE), (70, WELL))
"""Seconds, and the faults of that time."""
FLUX, IMAGEN, PORTRAIT = "flux", "imagen", "portrait"
CANARIES: Final = (
    {"name": FLUX, "prompt": "a lighthouse", "interval": 5, "price_usd": 0.003, "max_usd_per_month": 4_000},
    {"name": IMAGEN, "prompt": "a lighthouse", "model": MODELS[1], "interval": 10, "price_usd": 0.04},
    {
        "name": PORTRAIT,
        "prompt": "a face [fault:task_error]",
        "interval": 10,
        "price_usd": 0.08,
        "max_usd_per_month": 5,
    },
)
"""A plain one, one that is paused for a while, and one whose limit leaves next to nothing for it."""
PAUSE: Final = {"reason": "the provider moves", "seconds": 50}
ABOUT: Final = (
    "A run on loopback: at 1:50 SSE breaks for 80 s and polling carries the users; at 4:10 the provider itself fails "
    f"for 40 s. Rules and steps run {TIMES_FASTER} times faster: a minute stands for an hour."
)


async def _play(folder: Path, boards: Mapping[str, Board]) -> dict[str, dict[int, Found]]:
    """What all panels of all boards find at the end of the story."""
    simulator = SimulatorConfig(time_scale=TIME_SCALE, render=RENDER, heartbeat_s=3.0)
    options: dict[str, Any] = {
        "times_faster": TIMES_FASTER,
        "silence_s": 4.0,
        "sample_ratio": 0.04,
        "canaries": CANARIES,
    }
    async with open_scene(folder, simulator, POLICY, **options) as scene:
        start_s = now_s()
        for number, (for_s, mix) in enumerate(STORY):
            await scene.change_mix(mix)
            if mix is PROVIDER_TROUBLE:
                await scene.act_on_canary(IMAGEN, "pause", PAUSE)
            await scene.trickle(for_s, A_SECOND, seed=number)
        time = Time(start_s, now_s(), step_s=2.0, scrape_s=0.2, times_faster=TIMES_FASTER)
        return {name: await _ask(scene, board, time) for name, board in boards.items()}


async def _ask(scene: Scene, board: Board, time: Time) -> dict[int, Found]:
    marks = await _annotations(scene, board, time)
    return {
        panel["id"]: Found(
            time,
            [await asking.ask(scene.prometheus, board, panel, target, time) for target in panel["targets"]],
            await _exemplars(scene, board, panel, time),
            marks,
        )
        for panel in asking.panels(board)
    }


async def _exemplars(scene: Scene, board: Board, panel: Mapping[str, Any], time: Time) -> list[tuple[float, float]]:
    """When, and how much; each once, although several queries of a panel find it."""
    found: set[tuple[float, float]] = set()
    for target in panel["targets"]:
        if target["exemplar"]:
            for entry in await scene.prometheus.exemplars(asking.expression(board, panel, target, time)):
                found.update((item["timestamp"], float(item["value"])) for item in entry["exemplars"])
    return sorted((at_s, value) for at_s, value in found if time.start_s <= at_s <= time.end_s)


async def _annotations(scene: Scene, board: Board, time: Time) -> list[tuple[float, str]]:
    """When each annotation began."""
    marks: list[tuple[float, str]] = []
    for annotation in board["annotations"]["list"]:
        target = {"expr": annotation["expr"], "instant": False}
        found = await asking.ask(scene.prometheus, board, {}, target, time)
        marks.extend((series["values"][0][0], str(annotation["iconColor"])) for series in found)
    return marks


def main() -> None:
    """Play, then draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=FOLDER, help="the folder of the pictures")
    folder: Path = parser.parse_args().into
    boards = asking.boards()
    folder.mkdir(parents=True, exist_ok=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    reconciler.LOOKS_AFTER_S = (2.0, 6.0, 12.0)  # type: ignore[misc, assignment]
    with tempfile.TemporaryDirectory(prefix="dashboards-preview-") as temporary:
        found = asyncio.run(_play(Path(temporary), boards))
    for name, board in boards.items():
        draw_page(board, found[name], folder / f"{name}.png", ABOUT)


if __name__ == "__main__":
    main()
