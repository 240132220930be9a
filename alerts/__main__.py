"""Writes the rule files, and what the package ships of them: `python -m alerts`."""

from alerts.build import FOLDER, render_rules
from alerts.objective import read_objective
from alerts.page_rule import render_page_rule
from alerts.rule import Timing
from monitor.canary.page_rule import PATH

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    objective = read_objective()
    for name, text in render_rules(Timing(objective)).items():
        (FOLDER / name).write_text(text, "utf-8")
    PATH.write_text(render_page_rule(objective), "utf-8")
