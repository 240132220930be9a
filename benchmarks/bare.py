"""A bare aiohttp client that makes the same calls with no monitoring: create, subscribe, read the event, close."""

import asyncio
import json
import os
import sys
import time
from typing import Any

import aiohttp
import orjson
import psutil

from benchmarks.peers import RAMP_PER_S, TOKEN, arrivals_s
from monitor.cli.loop import run

_WARM_UP = 100


class _Bare:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http
        self.known_at_s: dict[str, float] = {}
        self.open_streams = 0

    async def generate(self, prompt: str) -> None:
        body = orjson.dumps({"config": {"prompt": prompt, "generation_config_name": "comfyui/flux"}})
        headers = {"Content-Type": "application/json"}
        async with self._http.post(f"{self._url}/api/v1/file/generate-image", data=body, headers=headers) as response:
            file_id = orjson.loads(await response.read())[0]["id"]
        async with self._http.get(f"{self._url}/api/v1/events/file.{file_id}") as stream:
            self.open_streams += 1
            await self._until_ready(stream, file_id)
            stream.close()
        self.known_at_s[file_id] = time.monotonic()

    async def _until_ready(self, stream: aiohttp.ClientResponse, file_id: str) -> None:
        held = b""
        async for chunk in stream.content.iter_any():
            held += chunk
            while b"\r\n\r\n" in held:
                event, _, held = held.partition(b"\r\n\r\n")
                if event.startswith(b"data: "):
                    message = orjson.loads(event[6:])
                    if message["type"] == "file" and message["object"]["id"] == file_id and message["object"]["url"]:
                        return


async def _main(url: str, generations: int, concurrency: int, mode: str, per_s: float) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as http:
        bare = _Bare(url, http)
        if mode == "memory":
            return await _memory(bare, generations)
        await _run(bare, _WARM_UP, concurrency)
        bare.known_at_s.clear()
        before_s = time.process_time()
        await _run(bare, generations, concurrency, per_s)
        return {"cpu_s": time.process_time() - before_s, "known_at_s": bare.known_at_s}


async def _run(bare: _Bare, generations: int, concurrency: int, per_s: float | None = None) -> None:
    free = asyncio.Semaphore(concurrency)

    async def one(at_s: float) -> None:
        await asyncio.sleep(at_s)
        async with free:
            await bare.generate("a red fox")

    await asyncio.gather(*(one(at_s) for at_s in arrivals_s(generations, per_s)))


async def _memory(bare: _Bare, generations: int) -> dict[str, Any]:
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    running = asyncio.ensure_future(_run(bare, generations, generations, RAMP_PER_S))
    while bare.open_streams < generations:
        await asyncio.sleep(0.1)
    held = process.memory_info().rss - before
    await running
    return {"bytes_per_generation": held / generations, "delivered": len(bare.known_at_s)}


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps(run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))))
    )
