"""How often canaries should run for a wish, beside what more time would save and what today's plan does. Pure."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from monitor.canary.detection import Fall, Signal, false_pages_a_year, paged_after_s, paged_share
from monitor.canary.forecast import MONTH, Forecast, planned_signal, total_cost
from monitor.canary.frequency import FASTEST_S, Wish, longest_interval_s, with_canary
from monitor.canary.money import Micros, to_the_cent
from monitor.canary.page_rule import PageRule

_DAY_S: Final = 86_400
_MORE_TIME_S: Final = (900, 3_600, 6 * 3_600, _DAY_S, 7 * _DAY_S)
LONGEST_S: Final = 30 * _DAY_S
"""A page later than this is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a number of canary runs a day does. `cost` is that of 30 days; None: what a run costs is not known."""

    runs_a_day: float
    cost: Micros | None
    half_after_s: float | None
    """Within this time half of the falls are paged; None: not within 30 days."""
    share_after_s: float | None
    """The same of the share that was wished for."""
    share_in_time: float
    false_pages: float

    @property
    def every_s(self) -> float | None:
        """From run to run on the average; None: there are none."""
        return _DAY_S / self.runs_a_day if self.runs_a_day else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The answer to a wish; None where no interval that the settings allow meets it."""

    wish: Wish
    answer: Pace | None
    louder: Pace | None
    """It runs more seldom and pages in time, but more often for nothing than was wished for; None: there is no such."""
    fastest: Pace
    """The most that the settings allow."""
    with_more_time: tuple[tuple[float, Pace | None], ...]
    """The same wish with other times, in seconds."""
    nearest_fall: float | None
    """Where there is no answer: a fall to this share, in whole percents, would have one; None: no fall has."""
    today: Pace
    """What the canaries of the settings do."""
    today_is_even: bool
    """Whether they run round the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adviser:
    """What is known beside the wish. `traffic` has no canaries; `price` is that of one run, None if it is not known."""

    rule: PageRule
    traffic: Signal
    price: Micros | None

    def advise(self, wish: Wish, planned: Iterable[Forecast]) -> Advice:
        """`planned` are the canaries that the settings have for the provider."""
        answer, today = self._slowest(wish), tuple(planned)
        louder = self._slowest(replace(wish, false_pages=math.inf))
        nearest = None if answer else next(self._falls_with_an_answer(wish), None)
        more_time = [within_s for within_s in _MORE_TIME_S if within_s > wish.within_s]
        return Advice(
            wish=wish,
            answer=answer,
            louder=louder if louder != answer else None,
            fastest=self._at(wish, FASTEST_S),
            with_more_time=tuple((each, self._slowest(replace(wish, within_s=each))) for each in more_time),
            nearest_fall=nearest,
            today=self._today(wish, today),
            today_is_even=all(each.is_even for each in today),
        )

    def _slowest(self, wish: Wish) -> Pace | None:
        interval_s = longest_interval_s(self.rule, wish, self.traffic)
        return None if interval_s is None else self._at(wish, interval_s)

    def _at(self, wish: Wish, interval_s: float) -> Pace:
        runs_a_day = _DAY_S / interval_s
        cost = None if self.price is None else to_the_cent(self.price * runs_a_day * MONTH.days)
        return self._pace(wish, with_canary(self.traffic, interval_s), runs_a_day, cost)

    def _today(self, wish: Wish, planned: tuple[Forecast, ...]) -> Pace:
        runs_a_day = sum(each.runs_a_day for each in planned)
        return self._pace(wish, planned_signal(planned, self.traffic), runs_a_day, total_cost(planned))

    def _pace(self, wish: Wish, signal: Signal, runs_a_day: float, cost: Micros | None) -> Pace:
        return Pace(
            runs_a_day=runs_a_day,
            cost=cost,
            half_after_s=paged_after_s(self.rule, signal, wish.fall, 0.5, LONGEST_S),
            share_after_s=paged_after_s(self.rule, signal, wish.fall, wish.share, LONGEST_S),
            share_in_time=paged_share(self.rule, signal, wish.fall, wish.within_s),
            false_pages=false_pages_a_year(self.rule, signal, wish.fall.healthy),
        )

    def _falls_with_an_answer(self, wish: Wish) -> Iterator[float]:
        for percents in range(math.ceil(wish.fall.fallen * 100) - 1, -1, -1):
            deeper = replace(wish, fall=Fall(wish.fall.healthy, percents / 100))
            if longest_interval_s(self.rule, deeper, self.traffic) is not None:
                yield percents / 100
