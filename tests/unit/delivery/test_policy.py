"""Which policies there can be."""

import math
from typing import Any

import pytest

from monitor.delivery.policy import FIXED, Policy


def test_fixed_is_the_documents_policy() -> None:
    assert (
        Policy(
            name="fixed",
            grace_s=10.0,
            interval_s=10.0,
            max_attempts=6,
            window_s=75.0,
            early_fallback=False,
            check_on_open=False,
        )
        == FIXED
    )


def test_other_policies_fall_back_early_and_check_on_open_unless_told_not_to() -> None:
    policy = Policy(name="other")
    assert policy.early_fallback
    assert policy.check_on_open


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"interval_s": 0.0}, "interval is 0.0; it must be over 0 seconds"),
        ({"interval_s": -1.0}, "interval is -1.0; it must be over 0 seconds"),
        ({"interval_s": math.nan}, "interval is nan; it must be over 0 seconds"),
        ({"interval_s": math.inf}, "interval is inf; it must be over 0 seconds, and finite"),
        ({"window_s": 0.0}, "window is 0.0; it must be over 0 seconds"),
        ({"window_s": math.inf}, "window is inf; it must be over 0 seconds, and finite"),
        ({"grace_s": -0.1}, "grace is -0.1; it must be 0 seconds or more"),
        ({"grace_s": math.nan}, "grace is nan; it must be 0 seconds or more"),
        ({"grace_s": 75.0}, r"grace \(75.0 s\) must be shorter than window \(75.0 s\)"),
        ({"max_attempts": -1}, "max_attempts is -1; it must be 0 or more"),
    ],
)
def test_numbers_that_cannot_deliver_are_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Policy(name="wrong", **wrong)


def test_a_grace_as_long_as_the_window_is_fine_where_nothing_is_polled() -> None:
    assert Policy(name="stream-only", grace_s=75.0, max_attempts=0).window_s == 75.0


def test_polls_may_begin_at_once_and_follow_each_other_in_parts_of_a_second() -> None:
    policy = Policy(name="hasty", grace_s=0.0, interval_s=0.25, window_s=0.5)
    assert (policy.grace_s, policy.interval_s, policy.window_s) == (0.0, 0.25, 0.5)
