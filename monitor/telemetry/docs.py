"""Writes docs/metrics.md from the catalogue: `python -m monitor.telemetry.docs`."""

from pathlib import Path
from typing import Final

from monitor.telemetry import catalog

PATH: Final = Path("docs/metrics.md")


def render_metrics_page() -> str:
    """The page as Markdown."""
    lines = [
        "# Metrics",
        "",
        "Built from `monitor/telemetry/catalog.py` by `make docs`; do not edit.",
        "",
        "Base units, `_total` on counters. No label holds an id, a URL, a prompt or a message; `model` is one of the",
        f"settings', else `{catalog.OTHER_MODEL}`. Every combination that can come exists at zero from the start.",
        "",
        "| metric | type | labels | says |",
        "|---|---|---|---|",
    ]
    for metric in catalog.ALL:
        labels = ", ".join(metric.labels) or "none"
        buckets = f"; buckets {', '.join(f'{bound:g}' for bound in metric.buckets)}" if metric.buckets else ""
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.says}{buckets} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(render_metrics_page(), "utf-8")
