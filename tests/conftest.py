"""Which event loop a test runs on, that no test leaves anything running, and that none is measured by the clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
from hypothesis import settings

from monitor.testing.virtual_time import VirtualTimeLoop

settings.register_profile("whatever-the-load", deadline=None)
settings.load_profile("whatever-the-load")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked `virtual_time` run on a clock that jumps."""
    marker = item.get_closest_marker("virtual_time")
    if marker is None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": lambda: VirtualTimeLoop(**marker.kwargs)}


@pytest_asyncio.fixture
async def no_stray_tasks() -> AsyncIterator[None]:
    """Fails a test that ends with a task it did not have when it began."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    stray = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
    assert not stray, f"left running: {stray}"
