"""The dashboards keep to the rules, and the rules find what breaks them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from alerts.names import Alert
from dashboards import colours
from monitor.telemetry.catalog import ALL
from tests.dashboards import asking
from tests.dashboards.asking import Board
from tests.dashboards.checks import problems
from tests.dashboards.expressions import names
from tests.dashboards.series import known, rules

BOARDS = asking.boards()
Break = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_keeps_to_all_rules(name: str) -> None:
    assert problems(BOARDS[name]) == []


def _expr(new: Callable[[str], str]) -> Break:
    return lambda panel: panel["targets"][0].update(expr=new(panel["targets"][0]["expr"]))


@pytest.mark.parametrize(
    ("sabotage", "said"),
    [
        pytest.param(_expr(lambda expr: expr[:-1]), "unclosed left parenthesis", id="broken expression"),
        pytest.param(_expr(lambda expr: expr.replace("_total", "_totals")), "no such series", id="wrong metric"),
        pytest.param(_expr(lambda expr: expr.replace('outcome="', 'result="')), "no label result", id="wrong label"),
        pytest.param(
            _expr(lambda expr: expr.replace("$__range", "5m")), "one of Grafana's variables", id="fixed window"
        ),
        pytest.param(_expr(lambda expr: expr.replace("increase", "delta")), "only its growth", id="counter as gauge"),
        pytest.param(_expr(lambda expr: expr.replace('provider=~"$provider", ', "")), "provider", id="matcher missing"),
        pytest.param(_expr(lambda expr: expr.replace("$origin", "$job")), "no variable for it", id="wrong variable"),
        pytest.param(lambda panel: panel["fieldConfig"]["defaults"].pop("unit"), "no unit None", id="no unit"),
        pytest.param(lambda panel: panel["fieldConfig"]["defaults"].update(unit="sec"), "no unit 'sec'", id="bad unit"),
        pytest.param(
            lambda panel: panel["fieldConfig"]["defaults"].update(unit="bytes"), "bytes is no unit of", id="wrong unit"
        ),
        pytest.param(
            lambda panel: panel["fieldConfig"]["defaults"].update(color={"mode": "palette-classic"}),
            "a palette has the channels' colours too",
            id="palette",
        ),
        pytest.param(
            lambda panel: panel["fieldConfig"]["overrides"][0]["properties"][0]["value"].update(fixedColor=colours.SSE),
            "has the colour of a channel that it is not about",
            id="blue elsewhere",
        ),
        pytest.param(lambda panel: panel.update(title=""), "needs a title", id="no title"),
        pytest.param(lambda panel: panel.update(description="See code."), "what to do", id="no description"),
        pytest.param(lambda panel: panel["gridPos"].update(w=7), "overlap", id="overlap"),
        pytest.param(lambda panel: panel["gridPos"].update(w=3), "nothing is at", id="hole"),
        pytest.param(lambda panel: panel["gridPos"].update(x=22), "of 24", id="too wide"),
        pytest.param(lambda panel: panel["targets"][0].update(legendFormat=""), "no legend", id="no legend"),
        pytest.param(lambda panel: panel["targets"][0].update(exemplar=True), "no exemplars", id="exemplars nowhere"),
        pytest.param(
            lambda panel: panel["targets"][0].update(datasource={"type": "prometheus", "uid": "P1809F7CD0C75ACF3"}),
            "must be the variable",
            id="fixed datasource",
        ),
        pytest.param(
            lambda panel: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0].update(value="null"),
            "must be null",
            id="threshold of text",
        ),
        pytest.param(lambda panel: panel.update(id=2), "is there 2 times", id="id twice"),
    ],
)
def test_what_breaks_a_rule_is_found(sabotage: Break, said: str) -> None:
    board: Board = copy.deepcopy(BOARDS["delivery"])
    panel = next(asking.panels(board))
    sabotage(panel)
    assert [problem for problem in problems(board) if said in problem]


def test_every_metric_of_the_catalogue_is_on_a_dashboard_or_in_a_rule() -> None:
    shown = names(
        target["expr"] for board in BOARDS.values() for panel in asking.panels(board) for target in panel["targets"]
    )
    shown |= names(item["expr"] for board in BOARDS.values() for item in board["annotations"]["list"])
    asked = shown | names(rule["expr"] for rule in rules())
    used = {known()[name].metric for name in asked if name in known()}
    assert [metric.name for metric in ALL if metric not in used] == []


def test_every_alert_that_has_a_dashboard_leads_to_one_that_exists() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    for rule in rules():
        if "alert" in rule and rule["alert"] != Alert.WATCHDOG:
            url = rule["annotations"]["dashboard_url"]
            assert url.split("/d/")[1].split("?")[0] in uids, rule["alert"]
