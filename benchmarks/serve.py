"""The service as `monitor serve` runs it, which also notes when it knew of each asset, on the monotonic clock."""

import json
import os
import time
from pathlib import Path

from aiohttp import web

from monitor.app import build_app
from monitor.cli.loop import favour_the_event_loop, run, until_told_to_stop
from monitor.cli.output import err
from monitor.delivery.facts import Ended, EventSeen, EventType, Fact
from monitor.delivery.model import Generation
from monitor.settings import load_settings
from monitor.telemetry.logs import configure_logging


class Notes:
    """An observer that notes the instant of each delivery by file id."""

    def __init__(self) -> None:
        self.known_at_s: dict[str, float] = {}
        self._seen_at_s: dict[str, float] = {}

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Note a delivery."""
        if isinstance(fact, EventSeen) and fact.type is EventType.RESULT:
            self._seen_at_s[generation.id] = time.monotonic()
        elif isinstance(fact, Ended) and fact.verdict.asset is not None and generation.id in self._seen_at_s:
            self.known_at_s[fact.verdict.asset.file_id or ""] = self._seen_at_s.pop(generation.id)


async def _serve(notes: Notes) -> None:
    settings = load_settings()
    configure_logging(settings.logging)
    runner = web.AppRunner(build_app(settings, observers=[notes]), access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, settings.server.host, settings.server.port, backlog=1024).start()
    favour_the_event_loop()
    err.print(f"service listens on http://127.0.0.1:{runner.addresses[0][1]}")
    await until_told_to_stop()
    await runner.cleanup()


if __name__ == "__main__":
    kept = Notes()
    run(_serve(kept))
    Path(os.environ["BENCHMARK_NOTES"]).write_text(json.dumps(kept.known_at_s), "utf-8")
