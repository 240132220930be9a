"""What happens to a job over time: what is published when, and from when on status calls show the result."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from monitor.simulator import wire
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

HIDDEN_S: Final = 0.5
"""How long status calls lag behind the event, where the event has to win."""
_HUGE_BYTES: Final = 5 * 1024 * 1024
_STORM_PER_S: Final = 5_000


def begin(stage: Stage, job: Job) -> None:
    """Begin the job's story. The healthy one is a single timer, as thousands of them run in benchmarks."""
    story = STORIES.get(job.fault.story or "publish")
    if story is None:
        asyncio.get_running_loop().call_later(job.render_s, _publish, stage, job)
    elif job.fault.story == "early":
        _publish(stage, job)
    else:
        stage.spawn(_tell(story, stage, job))


async def _tell(story: "Story", stage: Stage, job: Job) -> None:
    await story(stage, job)


def _publish(stage: Stage, job: Job) -> None:
    stage.complete(job)
    stage.publish_result(job)


async def _silent(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.complete(job)


async def _never(stage: Stage, job: Job) -> None:
    """Nothing, for ever."""


async def _early(stage: Stage, job: Job) -> None:
    """Told at once, see `begin`."""


async def _gap(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    for channel in job.channels:
        for subscriber in stage.broker.listeners(channel):
            stage.broker.unsubscribe(subscriber)
            subscriber.close()
    _publish(stage, job)


async def _drop_mid_event(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    whole = wire.frame(wire.message("file", wire.file_read(job, is_ready=True)))
    job.connected.clear()
    stage.publish_frame(job, "half a file event", whole[: len(whole) // 2])
    for channel in job.channels:
        for subscriber in stage.broker.listeners(channel):
            stage.broker.unsubscribe(subscriber)
            subscriber.cut()
    await _publish_to_a_listener(stage, job)


async def _publish_to_a_listener(stage: Stage, job: Job) -> None:
    """Wait until somebody listens again, and publish to them before status calls show anything."""
    await job.connected.wait()
    await stage.wait(0.3)
    stage.complete(job, status_after_s=HIDDEN_S)
    stage.publish_result(job)


async def _id_retry(stage: Stage, job: Job) -> None:
    retry_ms = int(5_000 * stage.config.time_scale)
    await job.connected.wait()
    await stage.wait(0.2)
    progress = wire.message("render_progress", {"progress": 10, "file_id": job.file_id})
    stage.publish_frame(job, "render_progress", wire.frame(progress, id_="event-1", retry_ms=retry_ms))
    await stage.wait(0.1)
    job.connected.clear()
    for channel in job.channels:
        for subscriber in stage.broker.listeners(channel):
            stage.broker.unsubscribe(subscriber)
            subscriber.close()
    await _publish_to_a_listener(stage, job)


async def _bom_cr(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.complete(job)
    first, second = wire.message("file", wire.file_read(job, is_ready=True)).split(b",", 1)
    lines = (b": a comment", b"unknown: field", b"nothing", b"data: " + first + b",", b"data:" + second, b"", b"")
    stage.publish_frame(job, "file", b"\r".join(lines))


async def _huge_event(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s / 2)
    stage.publish(job, "render_progress", {"progress": 50, "padding": "x" * _HUGE_BYTES})
    await asyncio.sleep(job.render_s / 2)
    _publish(stage, job)


async def _malformed(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    bad = (b"{not json", b"[1, 2, 3]", wire.message("file", "a string"), b'{"type": "file", "object": "\xff\xfe"}')
    for data in bad:
        stage.publish_frame(job, "malformed", wire.frame(data))
    _publish(stage, job)


async def _progress_storm(stage: Stage, job: Job) -> None:
    began_s = stage.now_s
    sent = 0
    while (elapsed_s := stage.now_s - began_s) < job.render_s:
        due = int(elapsed_s * _STORM_PER_S)
        percent = 100 * elapsed_s / job.render_s
        storm = wire.frame(wire.message("render_progress", {"progress": percent, "file_id": job.file_id}))
        stage.publish_frame(job, "render_progress", storm * (due - sent))
        sent = due
        await asyncio.sleep(0.02)
    _publish(stage, job)


async def _progress_only(stage: Stage, job: Job) -> None:
    for percent in range(0, 101, 10):
        stage.publish(job, "render_progress", {"progress": percent, "file_id": job.file_id})
        await asyncio.sleep(job.render_s / 11)
    stage.complete(job)


async def _null_url(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s / 2)
    stage.publish(job, "file", wire.file_read(job, is_ready=False))
    await asyncio.sleep(job.render_s / 2)
    _publish(stage, job)


async def _thumbnail_first(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s / 2)
    stage.publish(job, "file", wire.file_read(job, is_ready=False, thumbnail=True))
    await asyncio.sleep(job.render_s / 2)
    _publish(stage, job)


async def _file_id_only(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.complete(job)
    stage.publish(job, "render_result", {"file_id": job.file_id})


async def _duplicate(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    _publish(stage, job)
    stage.publish_result(job)
    stage.publish_result(job)


async def _foreign(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.complete(job)
    for number in range(3):
        other = wire.file_read(job, is_ready=True, url=f"{job.origin}/assets/generated/image/other-{number}.png")
        foreign_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{job.file_id}-{number}"))
        stage.publish(job, "file", other | {"id": foreign_id})
    stage.publish_result(job)


async def _wrong_channel(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.complete(job)
    other = f"file.{job.file_id}" if job.project_id else f"project.{job.file_id}"
    stage.publish(job, "file", wire.file_read(job, is_ready=True), channels=[other])


async def _out_of_order(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    _publish(stage, job)
    stage.publish(job, "render_progress", {"progress": 40, "file_id": job.file_id})


async def _task_error(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.fail(job)
    stage.publish(job, "task", wire.task_read(job, "error"))


async def _task_error_silent(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    stage.fail(job)


async def _result_then_error(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    _publish(stage, job)
    stage.publish(job, "task", wire.task_read(job, "error"))


async def _never_closes(stage: Stage, job: Job) -> None:
    await asyncio.sleep(job.render_s)
    _publish(stage, job)
    for _ in range(100):
        stage.publish_frame(job, "heartbeat", wire.ping())
        await stage.wait(0.1)


Story = Callable[[Stage, Job], Awaitable[None]]
STORIES: Final[dict[str, Story]] = {
    "silent": _silent,
    "never": _never,
    "early": _early,
    "gap": _gap,
    "drop_mid_event": _drop_mid_event,
    "id_retry": _id_retry,
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
"""All but `publish`, which needs no task."""
