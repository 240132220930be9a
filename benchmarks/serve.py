"""The service as `monitor serve` runs it, which also notes when it knew of each asset, on the monotonic clock."""

import json
import os
import time
from pathlib import Path

from monitor.app import build_app
from monitor.cli.loop import favour_the_event_loop, run, until_told_to_stop
from monitor.cli.output import err
from monitor.delivery.facts import Ended, EventSeen, EventType, Fact
from monitor.delivery.model import Generation
from monitor.settings import load_settings
from monitor.telemetry.logs import configure_logging
from monitor.web.listening import listening


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
    server, app = settings.server, build_app(settings, observers=[notes])
    async with listening(app, server.host, server.port, shutdown_s=server.shutdown_grace / 3) as url:
        favour_the_event_loop()
        err.print(f"service listens on {url}")
        await until_told_to_stop()


if __name__ == "__main__":
    kept = Notes()
    run(_serve(kept))
    Path(os.environ["BENCHMARK_NOTES"]).write_text(json.dumps(kept.known_at_s), "utf-8")
