"""How often canaries should run: the longest interval that meets the wish, or why there is none."""

from dataclasses import replace

import pytest

from monitor.canary.advice import Adviser
from monitor.canary.detection import Fall, Signal
from monitor.canary.frequency import Wish, longest_interval_s, with_canary
from monitor.canary.money import Micros
from monitor.canary.page_rule import shipped_rule

RULE, NOTHING_ELSE = shipped_rule(), Signal(a_day=0, known_after_s=75)
WISH = Wish(fall=Fall(0.995, 0.8), within_s=3_600, share=0.9, false_pages=1)


def adviser(price: int | None = 40_000, traffic_a_day: float = 0) -> Adviser:
    signal = replace(NOTHING_ELSE, a_day=traffic_a_day)
    return Adviser(rule=RULE, traffic=signal, price=None if price is None else Micros(price))


@pytest.mark.parametrize("fallen", [0.95, 0.9, 0.8, 0.5, 0.0])
@pytest.mark.parametrize("within_s", [3_600, 21_600, 86_400])
def test_the_interval_meets_the_wish_and_a_little_longer_would_not(fallen: float, within_s: float) -> None:
    wish = replace(WISH, fall=Fall(0.995, fallen), within_s=within_s)
    interval_s = longest_interval_s(RULE, wish, NOTHING_ELSE)
    assert interval_s is not None
    assert wish.is_met_by(RULE, with_canary(NOTHING_ELSE, interval_s))
    assert not wish.is_met_by(RULE, with_canary(NOTHING_ELSE, interval_s * 1.5))


def test_a_slighter_fall_and_less_time_want_more_runs() -> None:
    def interval_s(wish: Wish) -> float:
        return longest_interval_s(RULE, wish, NOTHING_ELSE) or 0

    def at(fallen: float) -> Wish:
        return replace(WISH, fall=Fall(0.995, fallen))

    asked_s = interval_s(WISH)
    assert interval_s(at(0.95)) < asked_s < interval_s(at(0.0))
    assert interval_s(replace(WISH, within_s=900)) < asked_s < interval_s(replace(WISH, within_s=86_400))
    assert interval_s(replace(WISH, share=0.99)) < asked_s < interval_s(replace(WISH, share=0.5))


def test_it_costs_what_so_many_runs_cost_and_is_paged_as_it_says() -> None:
    answer = adviser().advise(WISH, ()).answer
    assert answer is not None
    assert answer.every_s == pytest.approx(65)
    assert answer.cost == 1_595_080_000
    assert answer.share_in_time >= 0.9
    assert answer.share_after_s is not None
    assert answer.share_after_s <= 3_600
    assert answer.false_pages <= 1


def test_without_a_price_there_is_no_cost() -> None:
    answer = adviser(price=None).advise(WISH, ()).answer
    assert answer is not None
    assert answer.cost is None


def test_where_a_run_a_second_is_too_few_it_says_what_could_be_had() -> None:
    advice = adviser().advise(replace(WISH, fall=Fall(0.995, 0.97), within_s=900), ())
    assert (advice.answer, advice.louder) == (None, None)
    assert 0 < advice.fastest.share_in_time < 0.9
    assert advice.nearest_fall == 0.95
    assert [within_s for within_s, answer in advice.with_more_time if answer] == [3_600, 21_600, 86_400, 604_800]


def test_where_it_would_page_for_nothing_too_often_it_says_what_would_be_in_time() -> None:
    advice = adviser().advise(replace(WISH, fall=Fall(0.992, 0.8), false_pages=0.01), ())
    assert advice.answer is None
    assert advice.louder is not None
    assert advice.louder.false_pages > 0.01


def test_traffic_that_is_enough_needs_no_canary() -> None:
    answer = adviser(traffic_a_day=20_000).advise(WISH, ()).answer
    assert answer is not None
    assert (answer.runs_a_day, answer.every_s, answer.cost) == (0, None, 0)


def test_a_plan_without_canaries_pages_nothing() -> None:
    today = adviser().advise(WISH, ()).today
    assert (today.runs_a_day, today.share_in_time, today.share_after_s, today.false_pages) == (0, 0, None, 0)
