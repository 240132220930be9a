"""How latencies, attempts and render times spread, as JSON of bounded size: what charts are drawn from."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from monitor.delivery.model import Channel
from monitor.render_times import RenderTimes
from monitor.store.port import WindowFigures

MOST_ATTEMPTS: Final = 30
"""Numbers of attempts up to this one are told apart."""
MOST_CURVES: Final = 20
"""So many models, those that were observed most often, get a curve."""
STEPS: Final = 50
"""The bounds of a curve are told at so many shares, and its corners where it has risen by half as much."""
_A_BIT_OF_A_JOB: Final = 1e-3

_Curve = list[list[float]]


def render_distributions(
    figures: WindowFigures, bounds_s: Sequence[float], estimates: Mapping[tuple[str, str], RenderTimes]
) -> dict[str, Any]:
    """Histograms by the channel that delivered, and of each model what is known of its render times."""
    most = min(MOST_ATTEMPTS, max((number for counts in figures.attempts.values() for number in counts), default=0))
    nothing = [0] * (len(bounds_s) + 1)
    return {
        "latency_seconds": {
            "bounds": list(bounds_s),
            "counts": {
                channel.value: list(figures.latency_counts.get(channel, nothing))
                for channel in (Channel.SSE, Channel.POLLING)
            },
        },
        "attempts": {
            "bounds": list(range(most + 1)),
            "counts": {channel.value: _attempts(figures.attempts.get(channel, {}), most) for channel in Channel},
        },
        "render_times": [
            {"provider": provider, "model": model, "n": estimate.n, **_curves(estimate)}
            for (provider, model), estimate in _most_observed(estimates)
        ],
    }


def _attempts(counts: Mapping[int, int], most: int) -> list[int]:
    """How often there were 0, 1, … `most`, and more."""
    told = [counts.get(number, 0) for number in range(most + 1)]
    return [*told, sum(counts.values()) - sum(told)]


def _most_observed(
    estimates: Mapping[tuple[str, str], RenderTimes],
) -> list[tuple[tuple[str, str], RenderTimes]]:
    return sorted(estimates.items(), key=lambda item: (-item[1].n, item[0]))[:MOST_CURVES]


def _curves(estimate: RenderTimes) -> dict[str, Any]:
    return {"likeliest": thinned(estimate.cumulative, 0.5 / STEPS), "certain": _certain(estimate)}


def _certain(estimate: RenderTimes) -> list[list[float | None]]:
    """Steps (share, after, by): up to this share, from that of the step before, jobs took so long for certain.

    `by` is null where too few were seen ready.
    """
    n = estimate.n
    steps = min(n, STEPS)
    told: list[list[float | None]] = []
    for step in range(1, steps + 1):
        shortest = estimate.quantile((step - 1) / steps + _A_BIT_OF_A_JOB / n)
        longest = estimate.quantile(step / steps)
        if shortest is not None and longest is not None:
            by_s = longest[1]
            told.append([round(step / steps, 6), shortest[0], by_s if math.isfinite(by_s) else None])
    return told


def thinned(corners: Iterable[tuple[float, float]], rise: float) -> _Curve:
    """Of the corners (seconds, share) of a line that never falls, so many that it lies off by less than `rise`."""
    kept: _Curve = []
    before: list[float] = []
    for corner in ([at_s, share] for at_s, share in corners):
        if not kept:
            kept.append(corner)
        elif corner[1] - kept[-1][1] >= rise:
            kept.extend([before, corner] if before is not kept[-1] else [corner])
        before = corner
    if kept and before is not kept[-1]:
        kept.append(before)
    return [[at_s, round(share, 6)] for at_s, share in kept]
