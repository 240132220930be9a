"""What can be said of a share that was only sampled."""

import math
from typing import Final

Z_95: Final = 1.959963984540054
"""The normal quantile of a two-sided 95% interval."""


def ratio(good: int, total: int) -> float | None:
    """`good` of `total`; a ratio of nothing is None."""
    return good / total if total else None


def wilson_interval(good: int, total: int, z: float = Z_95) -> tuple[float, float] | None:
    """The score interval of a proportion (Wilson, 1927); None for no observations."""
    if not total:
        return None
    share, z2 = good / total, z * z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)
