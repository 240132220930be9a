"""Runs all measurements, prints them with their conditions, and writes docs/benchmarks.md."""

import asyncio
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.measurements import Figure, measure_latency, measure_memory, measure_processor_time

PAGE: Final = Path("docs/benchmarks.md")
_HEAD: Final = """# Benchmarks

Written by `make bench`. Each line is a ratio within one run, against a bare aiohttp client that makes the same calls
with no monitoring, on the same simulated provider in another process. Trust the ratios, not the absolute figures.
"""


def _page(figures: list[Figure]) -> str:
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    versions = f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}, uvloop"
    switched_on = "store, metrics, logs at info, and traces sampled at 10% all on"
    conditions = f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}; {switched_on}."
    lines = [_HEAD, conditions, "", "| measured | service | bare client | ratio | at most |", "|---|---|---|---|---|"]
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g}"
        ours, bare = f"{figure.ours:.2f} {figure.unit}", f"{figure.bare:.2f} {figure.unit}"
        lines.append(f"| {figure.what} | {ours} | {bare} | {figure.ratio:.2f} | {limit} |")
    return "\n".join(lines) + "\n"


async def _measure() -> list[Figure]:
    return [
        *await measure_processor_time(generations=2_000, concurrency=100),
        *await measure_latency(generations=600, in_flight=200),
        *await measure_memory(generations=5_000),
    ]


def main() -> int:
    """Measure; the exit code says whether every limit is kept."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = asyncio.run(_measure())
    page = _page(figures)
    PAGE.write_text(page, "utf-8")
    sys.stdout.write(page)
    over = [figure.what for figure in figures if figure.limit is not None and figure.ratio > figure.limit]
    if over:
        sys.stdout.write(f"\nover the limit: {'; '.join(over)}\n")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
