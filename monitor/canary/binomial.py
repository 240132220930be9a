"""How many of `trials` come true, each with the same chance and by itself: the exact binomial distribution."""

import math
from itertools import accumulate


def chance_of(count: int, trials: int, chance: float) -> float:
    """That exactly `count` come true."""
    if not 0 <= count <= trials:
        return 0.0
    if chance in (0.0, 1.0):
        return float(count == trials * chance)
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(ways + count * math.log(chance) + (trials - count) * math.log1p(-chance))


def chances_of_fewer(count: int, trials: int, chance: float) -> list[float]:
    """That none, at most one … at most `count - 1` come true."""
    summed = accumulate(chance_of(number, trials, chance) for number in range(count))
    return [min(1.0, total) for total in summed]
