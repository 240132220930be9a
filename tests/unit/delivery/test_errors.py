"""Errors hold data; their sentences are made from it."""

import pytest

from monitor.delivery.errors import (
    ChannelError,
    GenerationRejected,
    IdempotencyConflict,
    MonitorError,
    Overloaded,
    SettingsInvalid,
    ShuttingDown,
    StoreUnavailable,
)
from monitor.delivery.facts import CallResult
from monitor.delivery.model import REASONS, Channel, ErrorKind, Outcome, Reason, Stage


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ChannelError(ErrorKind.TIMEOUT, Stage.POLL, "no answer in time"), "poll: timeout: no answer in time"),
        (
            ChannelError(ErrorKind.UNAVAILABLE, Stage.SUBSCRIBE, "down", status=503),
            "subscribe: unavailable (HTTP 503): down",
        ),
        (GenerationRejected(Reason.REJECTED, "no credit", 402), "rejected: no credit"),
        (SettingsInvalid(["a: wrong", "b: missing"]), "a: wrong; b: missing"),
        (Overloaded(10, 3), "10 generations are in flight, which is the limit; try again in 3 s"),
        (Overloaded(7, 3, "reports wait"), "7 reports wait, which is the limit; try again in 3 s"),
        (IdempotencyConflict("k"), "idempotency key 'k' was used before with a different request body"),
        (StoreUnavailable("locked"), "locked"),
        (ShuttingDown("bye"), "bye"),
    ],
)
def test_every_error_is_one_of_ours_and_says_what_was_wrong(error: MonitorError, sentence: str) -> None:
    assert isinstance(error, MonitorError)
    assert str(error) == sentence


def test_a_channel_error_is_retryable_and_without_effect_unless_told() -> None:
    error = ChannelError(ErrorKind.TIMEOUT, Stage.CREATE, "slow")
    assert (error.retryable, error.may_have_effect, error.connected) == (True, False, True)
    assert (error.status, error.retry_after_s) == (None, None)


def test_settings_problems_are_kept_one_by_one() -> None:
    assert SettingsInvalid(["a", "b"]).problems == ("a", "b")


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_is_a_call_result_and_a_reason_to_expire(kind: ErrorKind) -> None:
    assert CallResult(kind).value == kind.value
    assert Reason(kind) in REASONS[Outcome.EXPIRED]


def test_every_outcome_has_its_reasons() -> None:
    assert set(REASONS) == set(Outcome)
    assert REASONS[Outcome.DELIVERED] == {None}
    assert all(None not in reasons for outcome, reasons in REASONS.items() if outcome is not Outcome.DELIVERED)


def test_the_channels_are_sse_polling_and_none() -> None:
    assert [channel.value for channel in Channel] == ["sse", "polling", "none"]
