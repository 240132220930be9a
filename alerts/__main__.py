"""Writes the rule files: `python -m alerts`."""

from alerts.build import FOLDER, render_rules
from alerts.objective import read_objective
from alerts.rule import Timing

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in render_rules(Timing(read_objective())).items():
        (FOLDER / name).write_text(text, "utf-8")
