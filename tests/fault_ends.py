"""How a generation must end whatever its provider does: each named fault, and some once more under other conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

SSE, POLLING, NONE, EITHER = {"sse"}, {"polling"}, {"none"}, {"sse", "polling"}
DELIVERED, FAILED, REJECTED, EXPIRED = "delivered", "provider_failed", "rejected", "expired"


@dataclass(frozen=True, slots=True)
class End:
    """How a generation must end. `reason` is looked at only where it is given; an empty `fault` is named by the key."""

    outcome: str
    channels: set[str]
    reason: str | None = None
    flow: str = "file"
    jobs: int = 1
    """How many jobs the provider made of it."""
    fault: str = ""
    render_s: float | None = None


ENDS: Final[dict[str, End]] = {
    "healthy": End(DELIVERED, SSE),
    "silent": End(DELIVERED, POLLING),
    "dead_air": End(DELIVERED, POLLING),
    "early": End(DELIVERED, POLLING),
    "gap": End(DELIVERED, POLLING),
    "drop_mid_event": End(DELIVERED, SSE),
    "flapping": End(DELIVERED, EITHER),
    "refused": End(DELIVERED, POLLING),
    "reset": End(DELIVERED, POLLING),
    "sse_401": End(DELIVERED, POLLING),
    "sse_403": End(DELIVERED, POLLING),
    "sse_404": End(DELIVERED, POLLING),
    "sse_410": End(DELIVERED, POLLING),
    "sse_204": End(DELIVERED, POLLING),
    "sse_429": End(DELIVERED, POLLING),
    "sse_503": End(DELIVERED, POLLING),
    "sse_500": End(DELIVERED, POLLING),
    "sse_html": End(DELIVERED, POLLING),
    "sse_json": End(DELIVERED, POLLING),
    "sse_redirect": End(DELIVERED, SSE),
    "sse_redirect_elsewhere": End(DELIVERED, SSE),
    "sse_slow_headers": End(DELIVERED, POLLING),
    "sse_524": End(DELIVERED, POLLING),
    "chunked": End(DELIVERED, SSE),
    "bom_cr": End(DELIVERED, SSE),
    "huge_event": End(DELIVERED, SSE),
    "malformed": End(DELIVERED, SSE),
    "progress_storm": End(DELIVERED, SSE),
    "progress_only": End(DELIVERED, POLLING),
    "null_url": End(DELIVERED, SSE),
    "file_id_only": End(DELIVERED, SSE),
    "thumbnail_first": End(DELIVERED, SSE),
    "duplicate": End(DELIVERED, SSE),
    "foreign": End(DELIVERED, SSE),
    "wrong_channel": End(DELIVERED, POLLING),
    "out_of_order": End(DELIVERED, SSE),
    "task_error": End(FAILED, SSE, "task_error"),
    "task_error_silent": End(FAILED, POLLING, "task_error"),
    "result_then_error": End(DELIVERED, SSE),
    "id_retry": End(DELIVERED, SSE),
    "never_closes": End(DELIVERED, SSE),
    "poll_5xx_burst": End(DELIVERED, POLLING),
    "poll_500_always": End(EXPIRED, NONE, "unavailable"),
    "poll_404_first": End(DELIVERED, POLLING),
    "poll_429": End(DELIVERED, POLLING),
    "poll_429_date": End(DELIVERED, POLLING),
    "poll_401_mid": End(EXPIRED, NONE, "unauthorized"),
    "poll_hangs": End(DELIVERED, POLLING),
    "poll_slow_body": End(DELIVERED, POLLING),
    "poll_garbage": End(DELIVERED, POLLING),
    "poll_stale": End(DELIVERED, SSE),
    "poll_completed_no_url": End(DELIVERED, POLLING),
    "poll_huge": End(DELIVERED, POLLING),
    "resolve_pending": End(DELIVERED, POLLING, flow="project"),
    "resolve_404": End(DELIVERED, POLLING, flow="project"),
    "resolve_500": End(DELIVERED, POLLING, flow="project"),
    "resolve_thumbnail": End(EXPIRED, NONE, "pending", flow="project"),
    "resolve_wrong_type": End(EXPIRED, NONE, "pending", flow="project"),
    "both_at_once": End(DELIVERED, EITHER),
    "late": End(EXPIRED, NONE, "pending"),
    "never": End(EXPIRED, NONE, "pending"),
    "last_moment": End(DELIVERED, EITHER),
    "create_400": End(REJECTED, NONE, "rejected", jobs=0),
    "create_401": End(REJECTED, NONE, "unauthorized", jobs=0),
    "create_402": End(REJECTED, NONE, "rejected", jobs=0),
    "create_403": End(REJECTED, NONE, "unauthorized", jobs=0),
    "create_422": End(REJECTED, NONE, "rejected", jobs=0),
    "create_409": End(DELIVERED, SSE),
    "create_429": End(DELIVERED, SSE),
    "create_500_after_effect": End(REJECTED, NONE, "create_unknown"),
    "create_hangs": End(REJECTED, NONE, "create_unknown"),
    "create_object": End(DELIVERED, SSE),
    "create_list": End(DELIVERED, SSE),
    "create_list_of_three": End(DELIVERED, SSE, jobs=3),
    "create_project": End(DELIVERED, EITHER, flow="project"),
    "signed_url": End(DELIVERED, SSE),
    "no_extension": End(DELIVERED, SSE),
    "uppercase": End(DELIVERED, SSE),
    "data_url": End(EXPIRED, NONE, "pending"),
    "relative_url": End(DELIVERED, SSE),
    "asset_404": End(DELIVERED, SSE),
    "asset_html": End(DELIVERED, SSE),
    "asset_empty": End(DELIVERED, SSE),
    "asset_redirect_private": End(DELIVERED, SSE),
}

AGAIN: Final[dict[str, End]] = {
    "a healthy project": End(DELIVERED, SSE, fault="healthy", flow="project"),
    "a project that has its URL at once": End(DELIVERED, POLLING, fault="early", flow="project"),
    "wrong_channel of a project": End(DELIVERED, POLLING, fault="wrong_channel", flow="project"),
    "a slow render behind sse_429": End(DELIVERED, POLLING, fault="sse_429", render_s=7.0),
    "a slow render behind sse_503": End(DELIVERED, POLLING, fault="sse_503", render_s=7.0),
    "a slow render behind sse_500": End(DELIVERED, POLLING, fault="sse_500", render_s=15.0),
    "a slow render while flapping": End(DELIVERED, EITHER, fault="flapping", render_s=15.0),
    "at the last moment by SSE": End(DELIVERED, SSE, fault="poll_stale", render_s=29.5),
    "at the last attempt": End(DELIVERED, POLLING, fault="silent", render_s=19.5),
    "after the last attempt, unsaid": End(EXPIRED, NONE, "pending", fault="silent", render_s=21.0),
}
"""What a fault alone does not show: the other flow, longer renders, each channel at its last moment."""

PLAYS: Final[Mapping[str, End]] = {name: replace(end, fault=end.fault or name) for name, end in (ENDS | AGAIN).items()}
