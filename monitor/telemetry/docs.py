"""Writes docs/metrics.md from the catalogue: `python -m monitor.telemetry.docs`."""

from pathlib import Path
from typing import Final

from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from monitor.telemetry.series import full_spread
from monitor.telemetry.setup import OWN_SAMPLES

PATH: Final = Path("docs/metrics.md")
_SPREADS: Final = ((1, 1), (1, 3), (1, 6), (2, 1), (2, 2))
"""Providers, and models of each."""


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
    return "\n".join([*lines, *_exemplars(), *_samples()]) + "\n"


def _exemplars() -> list[str]:
    trace_id, generation_id = catalog.ExemplarLabel.TRACE_ID, catalog.ExemplarLabel.GENERATION_ID
    return [
        "",
        "## Exemplars",
        "",
        "Where a scraper asks for OpenMetrics, histograms and the counter of outcomes carry exemplars: the",
        f"`{generation_id}`, whose timeline is at `/v1/generations/{{id}}`, and the `{trace_id}` where traces are",
        "exported. Only generations whose trace is kept are named, as the last exemplar of a bucket hides the others.",
        "Prometheus stores them with `--enable-feature=exemplar-storage`.",
    ]


def _samples() -> list[str]:
    return [
        "",
        "## Samples",
        "",
        "The samples of a scrape after everything has happened that can, on every model and from every origin, with",
        f"{OWN_SAMPLES} kept free for the service's own. At the start it warns of settings that can make more than",
        f"{catalog.MAX_SAMPLES:,}.",
        "",
        "| providers | models of each | samples at most |",
        "|---|---|---|",
        *(f"| {number} | {models} | {_spread(number, models):,} |" for number, models in _SPREADS),
    ]


def _spread(number: int, models: int) -> int:
    names = tuple(f"model-{item}" for item in range(models))
    return full_spread([ProviderSettings(name="p", base_url="http://p", models=names)] * number) + OWN_SAMPLES


if __name__ == "__main__":
    PATH.write_text(render_metrics_page(), "utf-8")
