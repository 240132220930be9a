"""What the package ships of the rules is what the rules say, and it leaves out nothing that pages over delivery."""

import math

import pytest

from alerts.names import Severity
from alerts.objective import BurnWindow, read_objective
from alerts.page_rule import page_rule, render_page_rule
from monitor.canary.page_rule import PATH, shipped_rule

OBJECTIVE = read_objective()


def test_the_shipped_file_is_the_one_of_the_objective() -> None:
    assert PATH.read_text("utf-8") == render_page_rule(OBJECTIVE)
    assert shipped_rule() == page_rule(OBJECTIVE)


@pytest.mark.parametrize("burn", [burn for burn in OBJECTIVE.burn.windows if burn.severity is Severity.PAGE])
def test_whoever_burns_the_budget_fast_enough_to_page_is_below_the_bound_as_well(burn: BurnWindow) -> None:
    rule = shipped_rule()
    for ended in range(1, 20_000):
        lost = max(OBJECTIVE.burn.min_lost, math.floor(burn.rate * OBJECTIVE.budget * ended) + 1)
        fewest = rule.fewest_lost(ended)
        assert lost > ended or (fewest is not None and fewest <= lost), ended
