"""Writes the table of faults into docs/simulator.md: `python -m monitor.simulator.docs`."""

from pathlib import Path
from typing import Final

from monitor.simulator.faults import FAULTS, Group

PATH: Final = Path("docs/simulator.md")
BEGIN: Final = "<!-- faults: built by `make docs` -->"
END: Final = "<!-- end of faults -->"


def render_faults() -> str:
    """The tables as Markdown."""
    lines: list[str] = []
    for group in Group:
        lines += [f"### {group}", "", "| name | what happens | right end |", "|---|---|---|"]
        lines += [
            f"| `{fault.name}` | {fault.says} | {fault.end} |" for fault in FAULTS.values() if fault.group is group
        ]
        lines.append("")
    return "\n".join(lines)


def with_faults(page: str) -> str:
    """`page` with its tables renewed."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{render_faults()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PATH.write_text(with_faults(PATH.read_text("utf-8")), "utf-8")
