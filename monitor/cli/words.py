"""Says in words why a generation ended without its asset."""

from collections.abc import Mapping
from typing import Final

from monitor.delivery.model import Reason

WHY: Final[Mapping[str, str]] = {
    Reason.TASK_ERROR: "it could not make the asset",
    Reason.REJECTED: "the provider refused the request",
    Reason.UNAUTHORIZED: "the provider did not accept the token",
    Reason.NOT_FOUND: "the provider did not know of it",
    Reason.CONFLICT: "the provider saw a conflict with another request",
    Reason.RATE_LIMITED: "the provider was asked too often",
    Reason.UNAVAILABLE: "the provider could not be reached or was out of order",
    Reason.MALFORMED: "the provider's answer could not be understood",
    Reason.TIMEOUT: "the provider did not answer in time",
    Reason.CREATE_UNKNOWN: "whether the provider has taken it on is not known, so it was not asked again",
    Reason.PENDING: "to the last, the provider said that the asset was not ready",
    Reason.NOT_POLLED: "nothing came over SSE, and the provider was not polled",
    Reason.MONITOR_DOWN: "its time ran out while the service was not running, or stood still",
    Reason.CALLER: "as it was asked for",
    Reason.CRASHED: "by a fault of the service, which its log tells",
}


def explain_end(outcome: str, reason: str | None, detail: str | None) -> str:
    """One sentence for an end without an asset; `detail` are the provider's own words."""
    said = outcome.replace("_", " ")
    if reason is not None:
        said += f": {WHY.get(reason, reason)}"
    return f"{said} ({detail})" if detail else said
