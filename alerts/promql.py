"""Expressions of PromQL that several rules need."""

from collections.abc import Iterable
from typing import Final

from monitor.telemetry.catalog import Label, Metric

Wanted = str | Iterable[str]
"""One value of a label, or several."""
_PER_PROVIDER: Final = (Label.PROVIDER,)


def series(metric: Metric, suffix: str = "", **labels: Wanted) -> str:
    """A selector of `metric`, or of a part of it such as `_count`; several values of a label are alternatives."""
    matchers = ",".join(matcher(Label(name), value) for name, value in labels.items())
    return f"{metric.name}{suffix}" + (f"{{{matchers}}}" if matchers else "")


def matcher(label: str, value: Wanted) -> str:
    """Narrows a selector to one value of a label, or to several."""
    if isinstance(value, str):
        return f'{label}="{value}"'
    return f'{label}=~"{"|".join(sorted(value))}"'


def increase(selector: str, window: str, by: Iterable[str] = _PER_PROVIDER) -> str:
    """How much counters grew within `window`, summed over replicas and all other labels."""
    return f"sum by ({', '.join(by)}) (increase({selector}[{window}]))"


def at_least(counted: str, number: int) -> str:
    """Those that grew by `number` or more; `increase` extrapolates to the window's edges, so it is never exact."""
    return f"({counted} > {number - 0.5:g})"


def lost_ratio(good: str, bad: str) -> str:
    """Share of the bad ones; absent when there are none of either, as a share of nothing would be a lie."""
    return f"{bad} / (({good} + {bad}) > 0)"


def wilson_upper(good: str, bad: str, z: float) -> str:
    """Upper bound of the share of the good ones (E. B. Wilson, 1927), by their numbers; absent when there are none.

    With n = good + bad it is (good + z²/2 + z·√(good·bad/n + z²/4)) / (n + z²).
    """
    n = f"({good} + {bad})"
    root = f"sqrt({good} * {bad} / ({n} > 0) + {z * z / 4:.6g})"
    return f"({good} + {z * z / 2:.6g} + {z:g} * {root}) / ({n} + {z * z:.6g})"
