"""The service as a process of its own."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def variables_of(folder: Path, provider_url: str, **more: str) -> dict[str, str]:
    """Settings for one simulated provider, as variables; `more` go over them."""
    provider = {
        "name": "superduperai",
        "base_url": provider_url,
        "token": "simulator-token",
        "models": ["comfyui/flux"],
        "policy": "quick",
    }
    policy = {"grace": 2.0, "interval": 2.0, "max_attempts": 10, "window": 40.0}
    return {
        "MONITOR_PROVIDERS": json.dumps([provider]),
        "MONITOR_POLICIES": json.dumps({"quick": policy}),
        "MONITOR_STORE__URL": f"sqlite:///{folder / 'monitor.db'}",
        "MONITOR_SERVER__PORT": "0",
        "MONITOR_LOGGING__LEVEL": "warning",
        **more,
    }


@asynccontextmanager
async def serving(variables: dict[str, str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`monitor serve` as a process of its own, and its URL."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MONITOR_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "serve", env=inherited | variables, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    drain: asyncio.Task[bytes] | None = None
    try:
        said = b""
        while not (found := re.search(rb"listens on (http://\S+)", said)):
            line = await process.stderr.readline()
            assert line, f"the service ended: {said.decode()}"
            said += line
        drain = asyncio.create_task(process.stderr.read())
        yield process, found[1].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if drain is not None:
            await drain
