"""What `monitor check` tells of the policies: when a generation is polled, as far as its window reaches."""

import pytest

from monitor.cli.check import polls_words
from monitor.delivery.policy import FIXED, Policy


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (FIXED, "10, 20 … 60 s"),
        (Policy(name="none", max_attempts=0), "never"),
        (Policy(name="one", max_attempts=1), "10 s"),
        (Policy(name="two", max_attempts=2), "10, 20 s"),
        (Policy(name="three", grace_s=0.5, interval_s=2.5, max_attempts=3), "0.5, 3, 5.5 s"),
        (Policy(name="cut by the window", grace_s=2.0, interval_s=2.0, max_attempts=100, window_s=9.0), "2, 4 … 8 s"),
        (Policy(name="none as it ends", grace_s=2.0, interval_s=2.0, max_attempts=100, window_s=8.0), "2, 4, 6 s"),
        (Policy(name="longer than the window", interval_s=100.0), "10 s"),
    ],
)
def test_polls_are_told_up_to_the_last_that_can_be_made(policy: Policy, words: str) -> None:
    assert polls_words(policy) == words
