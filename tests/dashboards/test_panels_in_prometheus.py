"""Every panel asks a real Prometheus, which scraped the real service under a mix of faults and ran our rules."""

import asyncio
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from alerts.names import BUDGET_LEFT
from monitor import reconciler
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry.catalog import ExemplarLabel
from tests.dashboards import asking
from tests.dashboards.asking import Board, Series, Time
from tests.dashboards.preview.kinds import Found
from tests.dashboards.preview.page import WIDTH, draw_page
from tests.dashboards.scene import Scene, now_s, open_scene, repeat
from tests.programs import require

pytestmark = [pytest.mark.system, pytest.mark.timeout(180), pytest.mark.xdist_group("panels")]

POLICY: Final = {"grace": 0.3, "interval": 0.3, "max_attempts": 8, "window": 3.0, "check_on_open": False}
FAULTS: Final = ("healthy", "silent", "sse_401", "flapping", "poll_5xx_burst", "asset_404", "dead_air", "late")
MORE: Final = ("healthy", "silent", "healthy")
MAX_IN_FLIGHT: Final = 30
"""Less than are begun at once, so that some are refused."""
ONLY_IN_TROUBLE: Final = {"Alerts that fire now", "Which alerts have fired?"}
FOX, HEN, ELK, OWL = "fox", "hen", "elk", "owl"
CANARIES: Final = (
    {"name": FOX, "prompt": "a fox", "interval": 1, "price_usd": 0.01},
    {"name": HEN, "prompt": "a hen [fault:silent]", "interval": 2, "price_usd": 0.02},
    {"name": ELK, "prompt": "an elk", "interval": 1, "price_usd": 0.04, "max_usd_per_month": 0.04},
    {"name": OWL, "prompt": "an owl", "interval": 60, "price_usd": 0.04},
)
"""Two that arrive by either channel, one that has had its one run, and one that is paused."""
EITHER_OR: Final = {"Is delivery at its objective?"}
"""Which of their queries finds something is the answer."""
RARE: Final = {"SSE p50", "SSE p95", "SSE p99"}
"""Of the loser's lag: no fault makes SSE tell what a poll had told before."""
LAG: Final = "How long after the winner did the loser have it?"

BOARDS: Final = asking.boards()
ALL: Final = [(name, panel["title"]) for name, board in BOARDS.items() for panel in asking.panels(board)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query found, or what Prometheus objected to."""

    legend: str
    series: list[Series]
    objection: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """All that Prometheus told."""

    time: Time
    answers: dict[tuple[str, str], list[Answer]]
    """By dashboard and title of the panel."""
    exemplars: dict[str, list[dict[str, Any]]]
    """By the expressions that ask for them."""
    sabotaged: dict[str, Answer]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One service and one Prometheus for all tests."""
    require("prometheus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciler, "LOOKS_AFTER_S", (0.2, 1.0, 2.0))
        yield asyncio.run(_play(tmp_path_factory.mktemp("dashboards")))


async def _play(folder: Path) -> Told:
    simulator = SimulatorConfig(time_scale=0.05, fixed_render_s=10, heartbeat_s=0.2)
    limits: dict[str, Any] = {"times_faster": 120, "max_in_flight": MAX_IN_FLIGHT}
    async with open_scene(folder, simulator, POLICY, **limits, canaries=CANARIES) as scene:
        start_s = now_s()
        await scene.act_on_canary(ELK, "run")
        await scene.act_on_canary(OWL, "pause", {"reason": "asleep", "seconds": 3_600})
        await asyncio.gather(*(scene.generate(fault=fault, wait_s=20) for fault in repeat(FAULTS, 5)))
        await asyncio.gather(*(scene.generate(fault=fault, wait_s=20) for fault in MORE))
        await _until_told(scene)
        time = Time(start_s, now_s(), step_s=0.5, scrape_s=0.2, times_faster=120)
        return Told(
            time=time,
            answers={
                (name, panel["title"]): [await _ask(scene, board, panel, target, time) for target in panel["targets"]]
                for name, board in BOARDS.items()
                for panel in asking.panels(board)
            },
            exemplars=await _exemplars(scene, time),
            sabotaged=await _sabotage(scene, time),
        )


async def _until_told(scene: Scene) -> None:
    """What expired was found late, and the rule that comes round last has seen it, a step ago."""
    async with asyncio.timeout(30):
        for sign in ("sum(generation_late_seconds_count) >= 3", f"{BUDGET_LEFT} offset 1s < 0"):
            while not await scene.prometheus.query(sign):
                await asyncio.sleep(0.1)


async def _ask(scene: Scene, board: Board, panel: dict[str, Any], target: dict[str, Any], time: Time) -> Answer:
    try:
        return Answer(target["legendFormat"], await asking.ask(scene.prometheus, board, panel, target, time))
    except AssertionError as objection:
        return Answer(target["legendFormat"], [], str(objection))


async def _exemplars(scene: Scene, time: Time) -> dict[str, list[dict[str, Any]]]:
    return {
        expression: await scene.prometheus.exemplars(expression)
        for board in BOARDS.values()
        for panel in asking.panels(board)
        for target in panel["targets"]
        if target["exemplar"]
        for expression in [asking.expression(board, panel, target, time)]
    }


async def _sabotage(scene: Scene, time: Time) -> dict[str, Answer]:
    """A panel of ours with its expression broken in two ways."""
    board = BOARDS["delivery"]
    panel = next(panel for panel in asking.panels(board) if panel["title"] == "What is under way?")
    found = {}
    for name, old, new in (("syntax", ")", ""), ("name", "in_flight", "in_fligth")):
        target = copy.deepcopy(panel["targets"][0])
        target["expr"] = target["expr"].replace(old, new)
        found[name] = await _ask(scene, board, panel, target, time)
    return found


@pytest.mark.parametrize(("board", "title"), ALL)
def test_prometheus_understands_every_query(told: Told, board: str, title: str) -> None:
    assert [answer.objection for answer in told.answers[board, title] if answer.objection] == []


@pytest.mark.parametrize(("board", "title"), [item for item in ALL if item[1] not in ONLY_IN_TROUBLE])
def test_every_query_that_should_find_something_does(told: Told, board: str, title: str) -> None:
    answers = told.answers[board, title]
    without = [answer.legend for answer in answers if not asking.has_data(answer.series)]
    if title in EITHER_OR:
        assert len(without) == 1
    elif title == LAG:
        assert set(without) <= RARE
    else:
        assert without == []


def test_points_lead_to_generations(told: Told) -> None:
    assert len(told.exemplars) > 10
    named = [expression for expression, found in told.exemplars.items() if found]
    assert len(named) > len(told.exemplars) / 2, "where something was slow, or failed"
    for found in told.exemplars.values():
        for entry in found:
            assert all(ExemplarLabel.GENERATION_ID in exemplar["labels"] for exemplar in entry["exemplars"])


def test_a_broken_query_would_be_found(told: Told) -> None:
    assert "parse error" in told.sabotaged["syntax"].objection
    assert told.sabotaged["name"].objection == ""
    assert not asking.has_data(told.sabotaged["name"].series)


@pytest.mark.parametrize("name", BOARDS)
def test_the_preview_draws_every_panel(told: Told, name: str, tmp_path: Path) -> None:
    found = {
        panel["id"]: Found(told.time, [answer.series for answer in told.answers[name, panel["title"]]])
        for panel in asking.panels(BOARDS[name])
    }
    draw_page(BOARDS[name], found, tmp_path / "page.png", "a run of the tests")
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.width == WIDTH


def test_a_lasting_share_of_losses_shows_in_the_answer(told: Told) -> None:
    (success,) = [answer for answer in told.answers["delivery", "Is delivery at its objective?"] if answer.series]
    ((_, value),) = success.series[0]["values"]
    assert success.series[0]["metric"] == {"provider": "superduperai"}
    assert 0.5 < value < 0.99
    (budget,) = told.answers["delivery", "How much error budget is left?"]
    assert budget.series[0]["values"][-1][1] < 0
