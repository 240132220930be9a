"""The JSON is what Grafana's own schema says, as far as its SDK knows it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.dashboards import asking
from tests.dashboards.grafana_schema import deviations

BOARDS = asking.boards()


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_what_grafana_knows(name: str) -> None:
    assert deviations(BOARDS[name]) == []


@pytest.mark.parametrize(
    ("sabotage", "said"),
    [
        (lambda panel: panel["options"].update(graphMod="area"), "panels.options.graphMod: there is no such key"),
        (lambda panel: panel["options"].update(graphMode="bars"), "'bars' is none of"),
        (lambda panel: panel["fieldConfig"]["defaults"].update(decimals="2"), "'2' is no number"),
        (lambda panel: panel["gridPos"].update(w="6"), "'6' is no int"),
        (lambda panel: panel["targets"][0].update(exemplars=True), "panels.targets.exemplars: there is no such key"),
        (lambda panel: panel["targets"][0].update(format="heat"), "'heat' is none of"),
    ],
    ids=["key of options", "value of options", "type of a field", "place", "key of a query", "value of a query"],
)
def test_what_grafana_does_not_know_is_found(sabotage: Callable[[dict[str, Any]], object], said: str) -> None:
    board = copy.deepcopy(BOARDS["delivery"])
    sabotage(next(asking.panels(board)))
    assert [deviation for deviation in deviations(board) if said in deviation]
