"""Asks the provider for the job, and asks again only where no job can have been made."""

import asyncio
from collections.abc import Sequence
from typing import Final

from monitor.delivery.calls import is_asked_for
from monitor.delivery.emitting import Emit, unharmed
from monitor.delivery.errors import ChannelError, GenerationRejected
from monitor.delivery.facts import CreateEnded
from monitor.delivery.identity import new_span_id
from monitor.delivery.model import ErrorKind, GenerationRequest, Handle, Reason, TraceContext
from monitor.delivery.ports import Provider
from monitor.delivery.trace_context import trace_headers

MAX_TRIES: Final = {
    ErrorKind.CONFLICT: 2,  # the provider's row clashed, so there is no job; a new seed may not clash
    ErrorKind.RATE_LIMITED: 3,
    ErrorKind.UNAVAILABLE: 3,
}
"""How many creates may go wrong like this, the first included, of three in all. After anything else none follows."""

MAX_WAIT_S: Final = 30.0
"""A provider that wants us to wait longer than this has refused."""


def longest_submission_s(create_timeout_s: float) -> float:
    """After what time there is a handle or a refusal, where one create call may take `create_timeout_s`."""
    return max(MAX_TRIES.values()) * (create_timeout_s + MAX_WAIT_S)


async def submit(provider: Provider, request: GenerationRequest, trace: TraceContext, emit: Emit) -> Handle:
    """The handle of the job. Raises GenerationRejected; its reason is `create_unknown` when there may be a job."""
    before: list[ErrorKind] = []
    while True:
        try:
            return await _create(provider, request, before, trace, unharmed(emit))
        except ChannelError as error:
            wait_s = retry_in_s(error, before)
            if wait_s is None:
                reason = Reason.CREATE_UNKNOWN if error.may_have_effect else _reason(error.kind)
                raise GenerationRejected(reason, error.detail, error.status) from error
            before.append(error.kind)
        await asyncio.sleep(wait_s)


def retry_in_s(error: ChannelError, before: Sequence[ErrorKind]) -> float | None:
    """Seconds until the next create, after what went wrong `before` this one; None when there must be none."""
    tries = len(before) + 1
    may_ask_again = tries < max(MAX_TRIES.values()) and before.count(error.kind) + 1 < MAX_TRIES.get(error.kind, 1)
    if error.may_have_effect or not may_ask_again:
        return None
    if error.kind is ErrorKind.CONFLICT:
        return 0.0
    wait_s = error.retry_after_s if error.retry_after_s is not None else 0.5 * 2.0**tries
    return wait_s if wait_s <= MAX_WAIT_S else None


async def _create(
    provider: Provider, request: GenerationRequest, before: Sequence[ErrorKind], trace: TraceContext, emit: Emit
) -> Handle:
    """One try, with the fact of its end."""
    loop = asyncio.get_running_loop()
    started_at_s, span_id = loop.time(), new_span_id()
    status: int | None = None
    kind: ErrorKind | None = ErrorKind.CRASHED
    cancelled, wait_s = False, None
    try:
        created = await provider.create(request, tries=len(before) + 1, trace_headers=trace_headers(trace, span_id))
        status, kind = created.status, None
    except ChannelError as error:
        status, kind, wait_s = error.status, error.kind, retry_in_s(error, before)
        raise
    except asyncio.CancelledError as error:
        if not is_asked_for():
            raise RuntimeError("the create call was cancelled, which nobody asked for") from error
        cancelled = True
        raise
    finally:
        emit(CreateEnded(loop.time(), started_at_s, span_id, status, kind, cancelled, wait_s))
    return created.handle


def _reason(kind: ErrorKind) -> Reason:
    """A create that surely made no job, in the words of an outcome."""
    if kind in (ErrorKind.MALFORMED, ErrorKind.TIMEOUT):
        return Reason.UNAVAILABLE
    return Reason(kind)
