"""What the objective's rules would page over simulated time: how often for nothing, and how soon when it matters.

`python -m alerts.backtest` prints the tables of docs/alerting.md. The conditions are those of `alerts.delivery`, over
counts that arrive at random (Poisson) and are lost at random (binomial), looked at every 30 s.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.names import Severity
from alerts.objective import Objective, read_objective, seconds

STEP_S: Final = 30
YEAR_S: Final = 365 * 86_400
_SAME_INCIDENT_S: Final = 1_800
_BEFORE_S: Final = 21_600

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def pages(delivered: Counts, expired: Counts, objective: Objective) -> Flags:
    """Whether any page of delivery fires at each step, by what ended in each."""
    fires = np.zeros(len(delivered), dtype=bool)
    for condition in _conditions(delivered, expired, objective):
        fires |= condition
    return fires


def incidents(fires: Flags) -> int:
    """How often somebody is woken: what fires again within half an hour is the same page."""
    at = np.flatnonzero(fires)
    return int(len(at) > 0) + int((np.diff(at) > _SAME_INCIDENT_S // STEP_S).sum())


def draw(rng: np.random.Generator, per_day: float, success: NDArray[np.float64]) -> tuple[Counts, Counts]:
    """Delivered and expired ones in each step, whose share of success may change."""
    ended = rng.poisson(per_day * STEP_S / 86_400, len(success))
    expired = rng.binomial(ended, 1 - success)
    return ended - expired, expired


def false_pages(rng: np.random.Generator, per_day: float, success: float, objective: Objective) -> int:
    """Pages in a year in which nothing is wrong."""
    return incidents(pages(*draw(rng, per_day, np.full(YEAR_S // STEP_S, success)), objective))


def minutes_to_page(
    rng: np.random.Generator, per_day: float, success: float, objective: Objective, for_s: int = 43_200
) -> float:
    """From a fall, known as soon as a window ends, to the page; infinite when none comes in `for_s`."""
    before = _BEFORE_S // STEP_S
    shares = np.where(np.arange(before + for_s // STEP_S) < before, 0.999, success)
    at = np.flatnonzero(pages(*draw(rng, per_day, shares), objective)[before:])
    return float(at[0] + 1) * STEP_S / 60 if len(at) else float("inf")


def _conditions(delivered: Counts, expired: Counts, objective: Objective) -> Iterator[Flags]:
    def over(window: str) -> tuple[Counts, Counts]:
        return _within(delivered, seconds(window)), _within(expired, seconds(window))

    for window in objective.outage.windows:
        good, bad = over(window)
        yield (bad >= objective.outage.min_lost) & (good == 0)
    for confidence in objective.confidence.windows:
        good, bad = over(confidence.long)
        upper = _upper(good, bad, objective.confidence.z)
        fires = (upper < objective.objective.ratio) & (bad >= objective.confidence.min_lost)
        yield fires & (_lost(*over(confidence.recent)) > objective.budget) if confidence.recent else fires
    for burn in objective.burn.windows:
        if burn.severity is Severity.PAGE:
            threshold = burn.rate * objective.budget
            fires = (_lost(*over(burn.long)) > threshold) & (_lost(*over(burn.recent)) > threshold)
            yield fires & (over(burn.long)[1] >= objective.burn.min_lost)


def _within(counts: Counts, window_s: int) -> Counts:
    total = np.concatenate([[0], np.cumsum(counts)])
    at = np.arange(1, len(counts) + 1)
    within: Counts = total[at] - total[np.maximum(at - window_s // STEP_S, 0)]
    return within


def _lost(good: Counts, bad: Counts) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = bad / np.maximum(good + bad, 1)
    return ratio


def _upper(good: Counts, bad: Counts, z: float) -> NDArray[np.float64]:
    """As `alerts.promql.wilson_upper`."""
    ended = np.maximum(good + bad, 1)
    bound: NDArray[np.float64] = (good + z * z / 2 + z * np.sqrt(good * bad / ended + z * z / 4)) / (ended + z * z)
    return bound


def _tables(objective: Objective) -> Iterator[str]:
    rng = np.random.default_rng(1)
    yield "| generations a day | false pages a year at 99.5% | at 99.2% |\n|---|---|---|"
    for per_day in (50, 500, 5_000, 10_000, 50_000):
        counted = [np.mean([false_pages(rng, per_day, share, objective) for _ in range(5)]) for share in (0.995, 0.992)]
        yield f"| {per_day:,} | {counted[0]:.1f} | {counted[1]:.1f} |"
    yield "\n| generations a day | fall to | median minutes to the page | within 15 minutes | never in 12 h |"
    yield "|---|---|---|---|---|"
    for success in (0.95, 0.8, 0.0):
        for per_day in (50, 500, 5_000, 20_000, 50_000):
            took = np.array([minutes_to_page(rng, per_day, success, objective) for _ in range(200)])
            median = f"{np.median(took):.0f}" if np.isfinite(np.median(took)) else "none"
            soon, never = np.mean(took <= 15), np.mean(np.isinf(took))
            yield f"| {per_day:,} | {success:.0%} | {median} | {soon:.0%} | {never:.0%} |"


if __name__ == "__main__":
    print("\n".join(_tables(read_objective())))  # noqa: T201
