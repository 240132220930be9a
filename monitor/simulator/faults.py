"""The named faults: what each does, as data, and how a generation should end all the same."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Group(StrEnum):
    """Where a fault strikes."""

    SSE = "SSE"
    ASKING = "Asking"
    CREATE = "Create and result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One named fault.

    `story`: what is published when (see stories); `stream`: how a subscription is met (see streams);
    `status`: how a status call is answered (see answers); `create`: how a create call is answered (see creates);
    `url`: the shape of the result's URL, `asset`: what it serves (see wire). Empty is the healthy way.
    `render_s` replaces the render time, before scaling. `hides`: nothing is published before somebody listens, and
    status calls show the result only a moment after the event, as the event has to win.
    """

    name: str
    group: Group
    says: str
    end: str
    story: str = ""
    stream: str = ""
    status: str = ""
    create: str = ""
    url: str = ""
    asset: str = ""
    render_s: float | None = None
    hides: bool = False


_POLLED: Final = "delivered by polling"
_STREAMED: Final = "delivered by SSE"


def _sse(name: str, says: str, end: str, *, story: str = "", stream: str = "", hides: bool = False) -> Fault:
    return Fault(name=name, group=Group.SSE, says=says, end=end, story=story, stream=stream, hides=hides)


def _asking(name: str, says: str, end: str = _POLLED, *, story: str = "silent", hides: bool = False) -> Fault:
    return Fault(name=name, group=Group.ASKING, says=says, end=end, story=story, status=name, hides=hides)


def _create(name: str, says: str, end: str, *, create: str = "") -> Fault:
    return Fault(name=name, group=Group.CREATE, says=says, end=end, create=create or name)


def _result(name: str, says: str, end: str = _STREAMED, *, url: str = "", asset: str = "") -> Fault:
    return Fault(name=name, group=Group.CREATE, says=says, end=end, url=url, asset=asset)


_ALL: Final = (
    _sse("healthy", "one `file` event with the URL", _STREAMED),
    _sse("silent", "the stream opens, heartbeats only, the result is never published", _POLLED, story="silent"),
    _sse("dead_air", "the stream opens and no byte comes, as behind a buffering proxy", _POLLED, story="silent", stream="mute"),
    _sse("early", "the result is published before anyone can subscribe", _POLLED, story="early"),
    _sse("gap", "the stream drops, the result is published while nobody listens, then it works again", _POLLED, story="gap"),
    _sse("drop_mid_event", "the connection is cut inside the event, which is published again after a reconnect", _STREAMED, story="drop_mid_event", hides=True),
    _sse("flapping", "the stream drops every second", "delivered by either", stream="flap"),
    _sse("refused", "the connection is refused (the stream redirects to a port where nobody listens)", _POLLED, story="silent", stream="refuse"),
    _sse("reset", "the connection is reset (RST) before any byte", _POLLED, story="silent", stream="reset"),
    _sse("sse_401", "the stream is answered 401", _POLLED, story="silent", stream="status_401"),
    _sse("sse_403", "the stream is answered 403", _POLLED, story="silent", stream="status_403"),
    _sse("sse_404", "the stream is answered 404", _POLLED, story="silent", stream="status_404"),
    _sse("sse_410", "the stream is answered 410", _POLLED, story="silent", stream="status_410"),
    _sse("sse_204", "the stream is answered 204", _POLLED, story="silent", stream="status_204"),
    _sse("sse_429", "the stream is answered 429 with `Retry-After: 2`", _POLLED, story="silent", stream="status_429"),
    _sse("sse_503", "the stream is answered 503 with `Retry-After: 2`", _POLLED, story="silent", stream="status_503"),
    _sse("sse_500", "the stream is answered 500, always", _POLLED, story="silent", stream="status_500"),
    _sse("sse_html", "the stream is answered 200 with HTML", _POLLED, story="silent", stream="html"),
    _sse("sse_json", "the stream is answered 200 with JSON", _POLLED, story="silent", stream="json"),
    _sse("sse_redirect", "the stream is redirected (307) on the same origin", _STREAMED, stream="redirect", hides=True),
    _sse("sse_redirect_elsewhere", "the stream is redirected (307) to another origin", "delivered by SSE; the token is not sent along", stream="redirect_elsewhere"),
    _sse("sse_slow_headers", "the headers of the stream come after 20 s", _POLLED, story="silent", stream="slow_headers"),
    _sse("sse_524", "a proxy answers 524 after 5 s of nothing", _POLLED, story="silent", stream="status_524"),
    _sse("chunked", "one byte a write, so that CRLF and multi-byte characters are split", _STREAMED, story="chunked", stream="bytewise", hides=True),
    _sse("bom_cr", "BOM, bare CR line ends, comments, unknown fields, data over several lines", _STREAMED, story="bom_cr", stream="bom", hides=True),
    _sse("huge_event", "an event of 5 MiB, then the result", _STREAMED, story="huge_event", hides=True),
    _sse("malformed", "invalid JSON, JSON of another shape, `object` a string, invalid UTF-8, then the result", _STREAMED, story="malformed", hides=True),
    _sse("progress_storm", "5,000 progress events a second, then the result", _STREAMED, story="progress_storm", hides=True),
    _sse("progress_only", "progress to 100%, and no result", _POLLED, story="progress_only"),
    _sse("null_url", "a `file` event with a null URL, later one with it", _STREAMED, story="null_url", hides=True),
    _sse("file_id_only", "the event has only a `file_id`", "delivered by SSE, resolved", story="file_id_only"),
    _sse("thumbnail_first", "first only `thumbnail_url` is set, later `url` as well", "delivered by SSE, the URL", story="thumbnail_first", hides=True),
    _sse("duplicate", "the result three times", "delivered by SSE, once", story="duplicate", hides=True),
    _sse("foreign", "results of other files on the channel, then ours", "delivered by SSE, ours", story="foreign", hides=True),
    _sse("wrong_channel", "the result comes on the other kind of channel only", _POLLED, story="wrong_channel"),
    _sse("out_of_order", "the result, then older progress", "delivered by SSE; it stays ended", story="out_of_order", hides=True),
    _sse("task_error", "a `task` event with status `error`", "provider_failed", story="task_error"),
    _sse("task_error_silent", "the error can only be seen by asking", "provider_failed, told by polling", story="task_error_silent"),
    _sse("result_then_error", "the result, then a task error", _STREAMED, story="result_then_error", hides=True),
    _sse("id_retry", "ids and `retry: 5000`, a drop, and the result after a reconnect with `Last-Event-ID`", "delivered by SSE; waits as told", story="id_retry", hides=True),
    _sse("never_closes", "the server keeps the stream open and noisy after the result", "delivered by SSE; we close", story="never_closes", hides=True),
    _asking("poll_5xx_burst", "silent, and four status calls fail with 502 before it works"),
    _asking("poll_500_always", "silent, and every status call fails with 500", "expired, reason unavailable"),
    _asking("poll_404_first", "silent, and three times 404: not visible yet"),
    _asking("poll_429", "silent, and twice 429 with `Retry-After: 2`", "delivered by polling, never sooner than told"),
    _asking("poll_429_date", "as `poll_429`, with an HTTP date", "delivered by polling, never sooner than told"),
    _asking("poll_401_mid", "silent, and 401 from the second status call on", "expired, reason unauthorized"),
    _asking("poll_hangs", "silent, and the first status call is never answered", "delivered by polling, at the next attempt"),
    _asking("poll_slow_body", "silent, and the first body drips for a minute"),
    _asking("poll_garbage", "silent, and HTML with 200, truncated JSON, an array, wrong types"),
    _asking("poll_stale", "the event has the URL, status calls never show it", _STREAMED, story="", hides=True),
    _asking("poll_completed_no_url", "silent; the task is completed, and the URL stays null for 3 s more"),
    _asking("poll_huge", "silent, and a first body of 50 MiB"),
    _asking("resolve_pending", "silent; the file that a project names has no URL twice (project flow)"),
    _asking("resolve_404", "silent; resolving the file id fails twice with 404 (project flow)"),
    _asking("resolve_500", "silent; resolving the file id fails twice with 500 (project flow)"),
    _asking("resolve_wrong_type", "silent; the file that a project names is a text (project flow)", "stays pending, then expired"),
    _asking("resolve_thumbnail", "silent; the file that a project names has a thumbnail and nothing else (project flow)", "stays pending, then expired"),
    Fault(name="both_at_once", group=Group.ASKING, says="event and status call bring it in the same instant", end="delivered, one winner", status="both_at_once", render_s=2.3),
    Fault(name="late", group=Group.ASKING, says="ready after 90 s", end="expired", render_s=90.0),
    Fault(name="never", group=Group.ASKING, says="never ready", end="expired", story="never"),
    Fault(name="last_moment", group=Group.ASKING, says="ready after 29.5 s, just before a window of 30 s ends", end="delivered", render_s=29.5),
    _create("create_400", "refused: 400", "rejected, with the provider's words"),
    _create("create_401", "refused: 401", "rejected, reason unauthorized"),
    _create("create_402", "refused: 402, not enough credits", "rejected, with the provider's words"),
    _create("create_403", "refused: 403", "rejected, reason unauthorized"),
    _create("create_422", "refused: 422, in FastAPI's shape", "rejected, with the provider's words"),
    _create("create_409", "409 `Integrity error, create` for the first seed; accepted with another one", "delivered; retried once with a new seed"),
    _create("create_429", "429 with `Retry-After: 2` once", "delivered after waiting"),
    _create("create_500_after_effect", "the job is made, and the answer is 500", "rejected, reason create_unknown; not repeated"),
    _create("create_hangs", "the job is made, and the call is never answered", "rejected, reason create_unknown; not repeated"),
    _create("create_object", "the answer is one object", _STREAMED),
    _create("create_list", "the answer is a list of one", _STREAMED),
    _create("create_list_of_three", "the answer is a list of three", "delivered by SSE, the first"),
    _create("create_project", "the answer of the project flow has no data yet, and neither has the project until it is ready (project flow)", "delivered by either"),
    _result("signed_url", "the URL has a signature in its query", url="signed"),
    _result("no_extension", "the URL has no extension", url="bare"),
    _result("uppercase", "the URL ends in `.PNG`", url="uppercase"),
    _result("data_url", "the URL is a `data:` URL", "not usable: expired", url="data"),
    _result("relative_url", "the URL is relative", "delivered by SSE, resolved against the provider", url="relative"),
    _result("asset_404", "the URL serves 404", asset="404"),
    _result("asset_html", "the URL serves HTML", asset="html"),
    _result("asset_empty", "the URL serves nothing", asset="empty"),
    _result("asset_redirect_private", "the URL redirects to a private address", asset="private"),
)  # fmt: skip

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}


def unknown_fault(name: str) -> str:
    """What to say to somebody who names a fault that there is not."""
    return f"there is no fault {name!r}; there are: {', '.join(FAULTS)}"


def check_mix(mix: Mapping[str, float]) -> None:
    """Raises ValueError when a name is unknown or the weights cannot be drawn from."""
    for name, weight in mix.items():
        if name not in FAULTS:
            raise ValueError(f"mix: {unknown_fault(name)}")
        if not 0 <= weight < math.inf:
            raise ValueError(f"mix: the weight of {name} is {weight}; it must be a finite number, 0 or more")
    if not sum(mix.values()) > 0:
        raise ValueError("mix: at least one weight must be over 0")
