"""How soon a fall is paged, how often a page comes for nothing: exact where it can be, else on the safe side."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.canary.binomial import chance_of, chances_of_fewer
from monitor.canary.detection import Fall, Signal, false_pages_a_year, paged_after_s, paged_share
from monitor.canary.page_rule import Outage, PageRule, shipped_rule

RULE = shipped_rule()
INTERVALS_S = st.sampled_from([1.5, 5, 20, 60, 150, 300, 900, 3_600])
SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98])
SPANS_S = st.sampled_from([300, 900, 1_800, 3_600, 20_000, 21_600, 50_000, 200_000])


def canary(interval_s: float) -> Signal:
    return Signal(a_day=86_400 / interval_s, known_after_s=75, canary_interval_s=interval_s)


def small_rule(**changed: object) -> PageRule:
    """Windows so short that all that can happen in them can be listed."""
    only = {"windows_s": (8,), "min_lost": 2, "z": 1.0, "outage_windows_s": (), "canary_intervals_s": ()}
    return RULE.model_copy(update=only | changed)


class TestRule:
    def test_seven_must_be_lost_while_there_are_few_and_more_where_there_are_many(self) -> None:
        assert [RULE.fewest_lost(ended) for ended in (0, 6, 7, 15, 114, 360)] == [None, None, 7, 7, 7, 14]

    @given(st.integers(RULE.min_lost, 5_000))
    def test_it_is_the_fewest(self, ended: int) -> None:
        fewest = RULE.fewest_lost(ended)
        assert fewest is not None
        assert fewest == RULE.min_lost or RULE.fewest_lost(ended - 1) in (fewest, fewest - 1)

    def test_a_canary_is_judged_by_how_often_it_runs(self) -> None:
        assert list(RULE.outages(600))[-1] == Outage(1_800, 3, 120)
        assert list(RULE.outages(1_000))[-1] == Outage(3_600, 3, 120)
        assert list(RULE.outages(math.inf)) == [Outage(300, 3), Outage(900, 3)]


class TestBinomial:
    def test_it_is_counted_out_with_few(self) -> None:
        assert [chance_of(count, 2, 0.25) for count in (-1, 0, 1, 2, 3)] == pytest.approx([0, 0.5625, 0.375, 0.0625, 0])
        assert chances_of_fewer(3, 2, 0.25) == pytest.approx([0.5625, 0.9375, 1])

    def test_what_is_certain_is_certain(self) -> None:
        assert (chance_of(0, 5, 0.0), chance_of(5, 5, 1.0), chance_of(4, 5, 1.0)) == (1, 1, 0)

    def test_very_many_are_no_trouble(self) -> None:
        assert chances_of_fewer(250, 21_600, 0.01)[-1] == pytest.approx(0.987, abs=0.01)


class TestFall:
    def test_every_way_in_which_runs_can_be_lost_gives_the_same_share(self) -> None:
        rule, signal = small_rule(), Signal(a_day=86_400, known_after_s=-90)
        fewest = rule.fewest_lost(8)
        assert fewest == 2
        paged = 0.0
        for lost in itertools.product((0, 1), repeat=5):
            chance = math.prod(0.3 if each else 0.7 for each in lost)
            paged += chance if sum(lost) >= fewest else 0
        assert paged_share(rule, signal, Fall(1.0, 0.7), 5) == pytest.approx(paged)

    def test_losses_in_a_row_are_promised_no_more_often_than_they_come_and_hardly_less(self) -> None:
        rule = small_rule(windows_s=(1,), outage_windows_s=(300,))
        signal = Signal(a_day=1_440, known_after_s=-90)
        for fallen in (0.2, 0.5, 0.7):
            came = 0.0
            for lost in itertools.product("01", repeat=13):
                chance = math.prod(1 - fallen if each == "1" else fallen for each in lost)
                came += chance if "11111" in "".join(lost) else 0
            predicted = paged_share(rule, signal, Fall(1.0, fallen), 780)
            assert 0.95 * came <= predicted <= came + 1e-12

    def test_nothing_is_paged_before_a_loss_can_be_known(self) -> None:
        assert paged_share(RULE, canary(1), Fall(0.995, 0.0), 165) == 0
        assert paged_share(RULE, canary(1), Fall(0.995, 0.0), 200) == pytest.approx(1)

    @given(INTERVALS_S, SHARES, SHARES, SPANS_S)
    def test_a_deeper_fall_is_paged_no_later(self, interval_s: float, one: float, other: float, after_s: int) -> None:
        deep, slight = sorted((one, other))
        signal = canary(interval_s)
        found = [paged_share(RULE, signal, Fall(0.995, fallen), after_s) for fallen in (deep, slight)]
        assert found[0] >= found[1] - 1e-12

    @given(INTERVALS_S, SHARES, SPANS_S, SPANS_S)
    def test_more_time_pages_no_fewer(self, interval_s: float, fallen: float, one: int, other: int) -> None:
        short_s, long_s = sorted((one, other))
        signal, fall = canary(interval_s), Fall(0.995, fallen)
        assert paged_share(RULE, signal, fall, short_s) <= paged_share(RULE, signal, fall, long_s) + 1e-12

    @given(INTERVALS_S, SHARES, SPANS_S)
    def test_where_half_are_paged_ten_times_as_many_runs_page_more(
        self, interval_s: float, fallen: float, after_s: int
    ) -> None:
        fall = Fall(0.995, fallen)
        found = [paged_share(RULE, canary(each), fall, after_s) for each in (interval_s, interval_s / 10)]
        assert found[0] < 0.5 or found[0] <= found[1] + 1e-9

    @given(INTERVALS_S, SHARES, st.sampled_from([0.1, 0.5, 0.9, 0.99]))
    def test_the_time_that_is_told_is_the_first_that_is_enough(
        self, interval_s: float, fallen: float, share: float
    ) -> None:
        signal, fall = canary(interval_s), Fall(0.995, fallen)
        after_s = paged_after_s(RULE, signal, fall, share, 86_400)
        if after_s is None:
            assert paged_share(RULE, signal, fall, 86_400) < share
        else:
            assert paged_share(RULE, signal, fall, after_s) >= share > paged_share(RULE, signal, fall, after_s - 1)


class TestFalsePages:
    def test_a_year_without_losses_has_none(self) -> None:
        assert false_pages_a_year(RULE, canary(5), 1.0) == 0

    def test_without_generations_there_are_none(self) -> None:
        assert false_pages_a_year(RULE, Signal(a_day=0, known_after_s=75), 0.995) == 0

    def test_every_sequence_of_runs_gives_the_same_number_of_beginnings(self) -> None:
        rule, signal = small_rule(), Signal(a_day=86_400, known_after_s=75)
        begin = 0.0
        for lost in itertools.product((0, 1), repeat=9):
            before, now = sum(lost[:8]), sum(lost[1:])
            if before < 2 <= now:
                begin += math.prod(0.02 if each else 0.98 for each in lost)
        assert false_pages_a_year(rule, signal, 0.98) == pytest.approx(begin * 365 * 86_400)

    def test_an_outage_for_nothing_begins_when_the_last_that_was_delivered_leaves_its_window(self) -> None:
        rule = small_rule(windows_s=(1,), outage_windows_s=(300,))
        found = false_pages_a_year(rule, Signal(a_day=1_440, known_after_s=75), 0.7)
        assert found == pytest.approx(0.7 * 0.3**5 * 365 * 1_440)

    @given(INTERVALS_S)
    def test_the_worse_the_good_days_are_the_more_often_it_pages(self, interval_s: float) -> None:
        found = [false_pages_a_year(RULE, canary(interval_s), healthy) for healthy in (0.999, 0.995, 0.992)]
        assert found == sorted(found)
