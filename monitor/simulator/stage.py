"""The stage on which jobs play: their books, their channels, the clock, and the tasks that tell their stories."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from monitor.simulator import wire
from monitor.simulator.book import JobBook
from monitor.simulator.broker import Broker
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.jobs import Job


class Stage:
    """What stories, streams and answers work with."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.book = JobBook(config)
        self.broker = Broker()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    @property
    def now_s(self) -> float:
        """The loop's clock."""
        return asyncio.get_running_loop().time()

    async def wait(self, seconds: float) -> None:
        """Wait so many seconds of the faults' own time, which is scaled; less when the simulator closes."""
        try:
            async with asyncio.timeout(seconds * self.config.time_scale):
                await self._closing.wait()
        except TimeoutError:
            return

    async def hang(self) -> None:
        """Wait until the simulator closes: whoever asked gets no answer."""
        await self._closing.wait()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a story told in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def is_closing(self) -> bool:
        """Whether streams that open now must end at once."""
        return self._closing.is_set()

    def begin_closing(self) -> None:
        """Let all calls that wait and all streams end, so that shutting down need not wait for them."""
        self._closing.set()
        self.broker.close_all()

    async def close(self) -> None:
        """End all streams and stories."""
        self.begin_closing()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def complete(self, job: Job, *, status_after_s: float = 0.0) -> None:
        """The render is done; status calls show it `status_after_s` later (not scaled)."""
        now_s = self.now_s
        job.completed_at_ms = job.ms(now_s)
        job.completed_monotonic_s = time.monotonic()
        job.status_ready_at_s = now_s + status_after_s
        job.completed.set()
        self.book.note_end(job)

    def fail(self, job: Job) -> None:
        """The render has failed."""
        self.complete(job)
        job.has_failed = True

    def publish(self, job: Job, type_: str, object_: Any, *, channels: list[str] | None = None) -> int:
        """An event on the job's channels, in the provider's own format; how many listeners it reached."""
        return self.publish_frame(job, type_, wire.frame(wire.message(type_, object_)), channels=channels)

    def publish_frame(self, job: Job, type_: str, frame: bytes, *, channels: list[str] | None = None) -> int:
        """Bytes on the job's channels; the truth knows them as `type_`. How many listeners they reached."""
        reached = 0
        for channel in channels or job.channels:
            subscribers = self.broker.publish(channel, frame)
            job.note_event({"at_ms": job.ms(self.now_s), "channel": channel, "type": type_, "subscribers": subscribers})
            reached += subscribers
        return reached

    def publish_result(self, job: Job) -> int:
        """The event that everybody waits for; how many listeners it reached."""
        return self.publish(job, "file", wire.file_read(job, is_ready=True))

    def drop_streams(self, job: Job, *, in_the_middle: bool = False) -> None:
        """End the job's streams after what is queued, or break their connections; a new one must open to be heard."""
        job.connected.clear()
        for channel in job.channels:
            self.broker.drop(channel, in_the_middle=in_the_middle)

    def is_status_ready(self, job: Job) -> bool:
        """Whether status calls show the result by now."""
        return job.status_ready_at_s is not None and self.now_s >= job.status_ready_at_s
