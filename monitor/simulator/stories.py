"""What happens to a job over time: what is published when, and from when on status calls show the result."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from monitor.simulator import wire
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

HIDDEN_S: Final = 1.5
"""How long status calls lag behind the event, scaled, where the event has to win."""
LEAST_HIDDEN_S: Final = 0.25
"""And at least so long, however fast the demo: the event needs real time to be read."""
EVENT_ID: Final = "event-1"
_RETRY_MS: Final = 5_000
_HUGE_BYTES: Final = 5 * 1024 * 1024
_STORM_PER_S: Final = 5_000
_STORM_TICK_S: Final = 0.02


def begin(stage: Stage, job: Job) -> None:
    """Begin the job's story. The healthy one is a single timer, as thousands of them run in benchmarks."""
    fault = job.fault
    if fault.story == "early":
        _publish(stage, job)
    elif fault.story == "never":
        stage.book.note_end(job)
    elif fault.story or fault.hides:
        stage.spawn(_tell(stage, job, STORIES[fault.story or "publish"]))
    else:
        asyncio.get_running_loop().call_at(job.due_at_s, _publish, stage, job)


async def _tell(stage: Stage, job: Job, story: "Story") -> None:
    if job.fault.hides:
        await job.connected.wait()
    await story(stage, job)


async def _rendered(job: Job, share: float = 1.0) -> None:
    """Wait until `share` of the render is done."""
    delay_s = job.created_at_s + share * job.render_s - asyncio.get_running_loop().time()
    await asyncio.sleep(max(0.0, delay_s))


def _complete(stage: Stage, job: Job) -> None:
    lag_s = max(LEAST_HIDDEN_S, HIDDEN_S * stage.config.time_scale) if job.fault.hides else 0.0
    stage.complete(job, status_after_s=lag_s)


def _publish(stage: Stage, job: Job) -> None:
    _complete(stage, job)
    stage.publish_result(job)


async def _publish_when_done(stage: Stage, job: Job) -> None:
    await _rendered(job)
    _publish(stage, job)


async def _silent(stage: Stage, job: Job) -> None:
    await _rendered(job)
    stage.complete(job)


async def _gap(stage: Stage, job: Job) -> None:
    await _rendered(job)
    stage.drop_streams(job)
    _publish(stage, job)


async def _drop_mid_event(stage: Stage, job: Job) -> None:
    await _rendered(job)
    whole = wire.frame(wire.message("file", wire.file_read(job, is_ready=True)))
    stage.publish_frame(job, "half a file event", whole[: len(whole) // 2])
    stage.drop_streams(job, in_the_middle=True)
    await _publish_to_a_listener(stage, job)


async def _id_retry(stage: Stage, job: Job) -> None:
    retry_ms = int(_RETRY_MS * stage.config.time_scale)
    await stage.wait(0.2)
    progress = wire.message("render_progress", {"progress": 10, "file_id": job.file_id})
    stage.publish_frame(job, "progress with id", wire.frame(progress, id_=EVENT_ID, retry_ms=retry_ms))
    await stage.wait(0.1)
    stage.drop_streams(job)
    await _publish_to_a_listener(stage, job, last_event_id=EVENT_ID)


async def _publish_to_a_listener(stage: Stage, job: Job, last_event_id: str | None = None) -> None:
    """Publish as soon as somebody listens again (and says where it was); status calls show nothing before."""
    while True:
        await job.connected.wait()
        await stage.wait(0.3)
        if last_event_id in (None, job.connections[-1]["last_event_id"]) and stage.publish_result(job):
            _complete(stage, job)
            return
        job.connected.clear()


async def _chunked(stage: Stage, job: Job) -> None:
    await _rendered(job)
    _complete(stage, job)
    file = wire.file_read(job, is_ready=True)
    made = file[f"{job.kind}_generation"] | {"style_name": "水彩 é 🎨"}
    stage.publish(job, "file", file | {f"{job.kind}_generation": made})


async def _bom_cr(stage: Stage, job: Job) -> None:
    await _rendered(job)
    _complete(stage, job)
    first, second = wire.message("file", wire.file_read(job, is_ready=True)).split(b",", 1)
    lines = (b": a comment", b"unknown: field", b"nothing", b"data: " + first + b",", b"data:" + second, b"", b"")
    stage.publish_frame(job, "file", b"\r".join(lines))


async def _huge_event(stage: Stage, job: Job) -> None:
    await _rendered(job, 0.5)
    stage.publish(job, "render_progress", {"progress": 50, "padding": "x" * _HUGE_BYTES})
    await _publish_when_done(stage, job)


async def _malformed(stage: Stage, job: Job) -> None:
    await _rendered(job)
    bad = (b"{not json", b"[1, 2, 3]", wire.message("file", "a string"), b'{"type": "file", "object": "\xff\xfe"}')
    for data in bad:
        stage.publish_frame(job, "malformed", wire.frame(data))
    _publish(stage, job)


async def _progress_storm(stage: Stage, job: Job) -> None:
    began_s, sent, last = stage.now_s, 0, int(job.render_s * _STORM_PER_S)
    while sent < last:
        await asyncio.sleep(_STORM_TICK_S)
        elapsed_s = min(stage.now_s - began_s, job.render_s)
        due, percent = int(elapsed_s * _STORM_PER_S), 100 * elapsed_s / job.render_s
        storm = wire.frame(wire.message("render_progress", {"progress": percent, "file_id": job.file_id}))
        stage.publish_frame(job, "render_progress", storm * (due - sent))
        sent = due
    _publish(stage, job)


async def _progress_only(stage: Stage, job: Job) -> None:
    for percent in range(0, 101, 10):
        await _rendered(job, percent / 100)
        stage.publish(job, "render_progress", {"progress": percent, "file_id": job.file_id})
    stage.complete(job)


async def _null_url(stage: Stage, job: Job) -> None:
    await _rendered(job, 0.5)
    stage.publish(job, "file", wire.file_read(job, is_ready=False))
    await _publish_when_done(stage, job)


async def _thumbnail_first(stage: Stage, job: Job) -> None:
    await _rendered(job, 0.5)
    stage.publish(job, "file", wire.file_read(job, is_ready=False, thumbnail=True))
    await _publish_when_done(stage, job)


async def _file_id_only(stage: Stage, job: Job) -> None:
    await _rendered(job)
    stage.complete(job)  # not hidden: whoever got the event asks for the file at once
    stage.publish(job, "render_result", {"file_id": job.file_id})


async def _duplicate(stage: Stage, job: Job) -> None:
    await _publish_when_done(stage, job)
    stage.publish_result(job)
    stage.publish_result(job)


async def _foreign(stage: Stage, job: Job) -> None:
    await _rendered(job)
    for number in range(3):
        foreign_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{job.file_id}-{number}"))
        other = wire.file_read(job, is_ready=True, url=f"{job.origin}/assets/generated/{job.kind}/{foreign_id}.png")
        stage.publish(job, "file", other | {"id": foreign_id})
    _publish(stage, job)


async def _wrong_channel(stage: Stage, job: Job) -> None:
    await _rendered(job)
    stage.complete(job)
    other = f"file.{job.file_id}" if job.project_id else f"project.{job.file_id}"
    stage.publish(job, "file", wire.file_read(job, is_ready=True), channels=[other])


async def _out_of_order(stage: Stage, job: Job) -> None:
    await _publish_when_done(stage, job)
    stage.publish(job, "render_progress", {"progress": 40, "file_id": job.file_id})


async def _task_error(stage: Stage, job: Job) -> None:
    await _rendered(job)
    stage.fail(job)
    stage.publish(job, "task", wire.task_read(job, "error"))


async def _task_error_silent(stage: Stage, job: Job) -> None:
    await _rendered(job)
    stage.fail(job)


async def _result_then_error(stage: Stage, job: Job) -> None:
    await _publish_when_done(stage, job)
    stage.publish(job, "task", wire.task_read(job, "error"))


async def _never_closes(stage: Stage, job: Job) -> None:
    await _publish_when_done(stage, job)
    for _ in range(100):
        stage.publish_frame(job, "heartbeat", wire.ping())
        await stage.wait(0.1)


Story = Callable[[Stage, Job], Awaitable[None]]
STORIES: Final[dict[str, Story]] = {
    "publish": _publish_when_done,
    "silent": _silent,
    "gap": _gap,
    "drop_mid_event": _drop_mid_event,
    "id_retry": _id_retry,
    "chunked": _chunked,
    "bom_cr": _bom_cr,
    "huge_event": _huge_event,
    "malformed": _malformed,
    "progress_storm": _progress_storm,
    "progress_only": _progress_only,
    "null_url": _null_url,
    "thumbnail_first": _thumbnail_first,
    "file_id_only": _file_id_only,
    "duplicate": _duplicate,
    "foreign": _foreign,
    "wrong_channel": _wrong_channel,
    "out_of_order": _out_of_order,
    "task_error": _task_error,
    "task_error_silent": _task_error_silent,
    "result_then_error": _result_then_error,
    "never_closes": _never_closes,
}
"""All that need a task of their own; see `begin` for `early`, `never` and the healthy one."""
