"""The stage on which jobs play: their books, their channels, the clock, and the tasks that tell their stories."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from monitor.simulator import wire
from monitor.simulator.broker import Broker
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.jobs import Job, JobBook


class Stage:
    """What stories, streams and answers work with."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.book = JobBook(config)
        self.broker = Broker()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now_s(self) -> float:
        """The loop's clock."""
        return asyncio.get_running_loop().time()

    async def wait(self, seconds: float) -> None:
        """Wait so many seconds of the faults' own time, which is scaled."""
        await asyncio.sleep(seconds * self.config.time_scale)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a story told in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all streams and stories."""
        self.broker.close_all()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def complete(self, job: Job, *, status_after_s: float = 0.0) -> None:
        """The render is done; status calls show it after `status_after_s` of scaled time."""
        now_s = self.now_s
        job.completed_at_ms = job.ms(now_s)
        job.completed_monotonic_s = time.monotonic()
        job.status_ready_at_s = now_s + status_after_s * self.config.time_scale

    def fail(self, job: Job) -> None:
        """The render has failed."""
        self.complete(job)
        job.has_failed = True

    def publish(self, job: Job, type_: str, object_: Any, *, channels: list[str] | None = None) -> None:
        """An event on the job's channels, in the provider's own format."""
        self.publish_frame(job, type_, wire.frame(wire.message(type_, object_)), channels=channels)

    def publish_frame(self, job: Job, type_: str, frame: bytes, *, channels: list[str] | None = None) -> None:
        """Bytes on the job's channels; the truth knows them as `type_`."""
        for channel in channels or job.channels:
            subscribers = self.broker.publish(channel, frame)
            event = {"at_ms": job.ms(self.now_s), "channel": channel, "type": type_, "subscribers": subscribers}
            if len(job.events) < 200:
                job.events.append(event)

    def publish_result(self, job: Job) -> None:
        """The event that everybody waits for."""
        self.publish(job, "file", wire.file_read(job, is_ready=True))

    def is_status_ready(self, job: Job) -> bool:
        """Whether status calls show the result by now."""
        return job.status_ready_at_s is not None and self.now_s >= job.status_ready_at_s
