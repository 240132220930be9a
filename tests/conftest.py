"""Which event loop a test runs on, that no test leaves anything running, and that none is measured by the clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache, partial

import pytest
import pytest_asyncio
from hypothesis import settings

from monitor.testing.virtual_time import PatientLoop, VirtualTimeLoop

settings.register_profile("whatever-the-load", deadline=None)
settings.load_profile("whatever-the-load")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked `virtual_time` run on a clock that jumps, `patient_time` on one that stands while there is work."""
    if marker := item.get_closest_marker("virtual_time"):
        return {"virtual": _factory(VirtualTimeLoop, **marker.kwargs)}
    if marker := item.get_closest_marker("patient_time"):
        return {"patient": _factory(PatientLoop, **marker.kwargs)}
    return {"real": asyncio.new_event_loop}


@cache
def _factory(
    kind: Callable[..., asyncio.AbstractEventLoop], **kwargs: float
) -> Callable[[], asyncio.AbstractEventLoop]:
    """The same one for the same loop: pytest sets a fixture of a module up again where the factory is another."""
    return partial(kind, **kwargs)


@pytest_asyncio.fixture
async def no_stray_tasks() -> AsyncIterator[None]:
    """Fails a test that ends with a task it did not have when it began."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    stray = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
    assert not stray, f"left running: {stray}"
