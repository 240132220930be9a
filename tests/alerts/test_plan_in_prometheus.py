"""Prometheus pages at the loss at which a plan of canaries says that it does: the count, as its `increase` sees it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from alerts.build import FOLDER
from monitor.canary.detection import Fall, Signal, paged_after_s
from monitor.canary.page_rule import shipped_rule
from monitor.delivery.model import Outcome
from monitor.telemetry import catalog
from tests.alerts.programs import run

SCRAPE_S = 15
RULES = [FOLDER / f"{name}.rules.yml" for name in ("recording", "delivery", "canaries")]
PAGES = 'count(ALERTS{alertstate="firing", severity="page"}) > bool 0'


def _paged(folder: Path, counted: dict[str, list[int]], looks_s: dict[float, bool]) -> None:
    """Whether anything pages at each of `looks_s`, with these samples from the first second on."""
    case = {
        "rule_files": [str(path) for path in RULES],
        "evaluation_interval": "30s",
        "group_eval_order": ["delivery-recent", "delivery-long", "delivery-alerts", "canary-alerts"],
        "tests": [
            {
                "interval": f"{SCRAPE_S}s",
                "input_series": [{"series": name, "values": " ".join(map(str, v))} for name, v in counted.items()],
                "promql_expr_test": [
                    {
                        "expr": PAGES,
                        "eval_time": f"{at_s:.0f}s",
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                    for at_s, fires in looks_s.items()
                ],
            }
        ],
    }
    file = folder / "case.yml"
    file.write_text(yaml.safe_dump(case), "utf-8")
    said = run("promtool", "test", "rules", file)
    assert said.returncode == 0, said.stdout + said.stderr


def _counters(ended: Sequence[tuple[float, bool]], for_s: int, interval_s: float) -> dict[str, list[int]]:
    """What is scraped when these runs have ended, each delivered or lost."""
    scrapes = range(0, for_s, SCRAPE_S)
    own = '{instance="a", provider="p", canary="c"}'
    delivered = [at_s for at_s, is_lost in ended if not is_lost]
    lost = [at_s for at_s, is_lost in ended if is_lost]

    def count(times_s: list[float]) -> list[int]:
        return [sum(at_s <= scrape_s for at_s in times_s) for scrape_s in scrapes]

    def last(scrape_s: int) -> int:
        return int(max((at_s for at_s in delivered if at_s <= scrape_s), default=0))

    series = {
        f'{catalog.BUILD_INFO.name}{{instance="a", version="1", revision="r"}}': [1] * len(scrapes),
        f"{catalog.CANARY_INTERVAL.name}{own}": [int(interval_s)] * len(scrapes),
        f"{catalog.CANARY_PAUSED.name}{own}": [0] * len(scrapes),
        f"{catalog.CANARY_LAST_SUCCESS.name}{own}": [last(scrape_s) for scrape_s in scrapes],
    }
    for outcome, times_s in ((Outcome.DELIVERED, delivered), (Outcome.EXPIRED, lost)):
        labels = f'instance="a", provider="p", outcome="{outcome}"'
        series[f'{catalog.OUTCOMES.name}{{{labels}, model="m", origin="canary"}}'] = count(times_s)
        series[f'{catalog.CANARY_RUNS.name}{{{labels}, canary="c"}}'] = count(times_s)
    return series


@pytest.mark.parametrize(("every", "window_s"), [(2, 900), (8, 3_600)])
def test_the_loss_that_is_one_too_many_for_a_window_pages(every: int, window_s: int, tmp_path: Path) -> None:
    """A run a minute, of which every second or every eighth is lost: each is first seen by another window."""
    fewest = shipped_rule().fewest_lost(window_s // 60)
    assert fewest is not None
    losses_s = [window_s + number * every * 60 for number in range(fewest)]
    for_s = losses_s[-1] + 300
    ended = [(at_s, at_s in losses_s) for at_s in range(0, for_s, 60)]
    _paged(tmp_path, _counters(ended, for_s, 60), {losses_s[-1] - 15: False, losses_s[-1] + 90: True})


@pytest.mark.parametrize("interval_s", [60, 205, 900])
def test_an_outage_is_paged_no_later_than_planned(interval_s: int, tmp_path: Path) -> None:
    """It begins just after a run was delivered; that one is known after 20 s, and those that are lost after 75 s."""
    signal = Signal(a_day=86_400 / interval_s, known_after_s=75, canary_interval_s=interval_s)
    planned_s = paged_after_s(shipped_rule(), signal, Fall(1.0, 0.0), 0.9, 86_400)
    assert planned_s is not None
    fall_s = 4 * interval_s + 1
    for_s = int(fall_s + planned_s) + 60
    ended = [(start_s + (75 if start_s > fall_s else 20), start_s > fall_s) for start_s in range(0, for_s, interval_s)]
    wait_of_alertmanager_s = 30
    paged_s = fall_s + planned_s - wait_of_alertmanager_s
    _paged(tmp_path, _counters(ended, for_s, interval_s), {fall_s + 2 * interval_s: False, paged_s: True})
