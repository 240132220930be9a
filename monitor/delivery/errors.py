"""The tree of errors that this project raises. An error holds data; its sentence is made from it.

MonitorError
├── SettingsInvalid      every problem of a configuration at once
├── ChannelError         one call to a provider did not work
├── GenerationRejected   the provider took no job, or may have and we will not ask twice
├── StoreUnavailable     records cannot be read or written now
├── Overloaded           a limit of what is taken on is reached
├── IdempotencyConflict  one key, two different requests
└── ShuttingDown         no new work is accepted
"""

from collections.abc import Sequence

from monitor.delivery.model import ErrorKind, Reason, Stage


class MonitorError(Exception):
    """Anything this project raises on purpose."""


class SettingsInvalid(MonitorError):
    """The configuration cannot be used. `problems` names each key, what was found and what is allowed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ChannelError(MonitorError):
    """One call to a provider did not work.

    `retryable`: another try may work. `may_have_effect`: the provider may have done the work all the same
    (only of interest for create). `retry_after_s`: not sooner than this, as the provider told.
    `connected`: whether a connection to the provider stood at all.
    """

    def __init__(
        self,
        kind: ErrorKind,
        stage: Stage,
        detail: str,
        *,
        status: int | None = None,
        retryable: bool = True,
        retry_after_s: float | None = None,
        may_have_effect: bool = False,
        connected: bool = True,
    ) -> None:
        super().__init__(f"{stage}: {kind}{'' if status is None else f' (HTTP {status})'}: {detail}")
        self.kind = kind
        self.stage = stage
        self.detail = detail
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.may_have_effect = may_have_effect
        self.connected = connected


class GenerationRejected(MonitorError):
    """No job: the provider refused, or the fate of the create call is unknown. `detail` has the provider's words."""

    def __init__(self, reason: Reason, detail: str, status: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.status = status


class StoreUnavailable(MonitorError):
    """Records cannot be read or written now; try again later."""


class Overloaded(MonitorError):
    """A limit of what is taken on is reached; there may be room after `retry_after_s`."""

    def __init__(self, limit: int, retry_after_s: int, what: str = "generations are in flight") -> None:
        super().__init__(f"{limit} {what}, which is the limit; try again in {retry_after_s} s")
        self.limit = limit
        self.retry_after_s = retry_after_s


class IdempotencyConflict(MonitorError):
    """The idempotency key was used before with another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used before with a different request body")
        self.key = key


class ShuttingDown(MonitorError):
    """The service is stopping and takes no new work."""
