"""What the terminal says of a generation that ended without its asset."""

import pytest

from monitor.cli.words import WHY, explain_end
from monitor.delivery.model import REASONS, Reason


def test_every_reason_has_words() -> None:
    assert set(WHY) == set(Reason)


def test_no_end_says_its_name_twice() -> None:
    for outcome, reasons in REASONS.items():
        for reason in reasons:
            assert explain_end(outcome, reason, None).count(outcome) <= 1


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (("rejected", "rejected", "no credits"), "rejected: the provider refused the request (no credits)"),
        (("expired", "pending", None), "expired: to the last, the provider said that the asset was not ready"),
        (("provider_failed", "task_error", "NSFW"), "provider failed: it could not make the asset (NSFW)"),
        (("cancelled", None, None), "cancelled"),
        (("expired", "of_a_later_version", None), "expired: of_a_later_version"),
    ],
)
def test_an_end_is_told_in_words(end: tuple[str, str | None, str | None], said: str) -> None:
    assert explain_end(*end) == said
