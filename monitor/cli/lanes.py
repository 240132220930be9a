"""Draws a generation in the terminal: a lane for SSE, a lane for polling, and the time."""

import time
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text


class Lanes:
    """What is known of both channels; rich draws it again and again while it grows."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._sse = Text("connecting", style="dim")
        self._polling = Text("waiting for its turn", style="dim")
        self._attempts: list[tuple[str, str]] = []

    def add(self, entry: dict[str, Any]) -> None:
        """One more entry of the timeline."""
        match entry["event"]:
            case "sse_opened":
                self._sse = Text("listening", style="blue")
            case "sse_event":
                self._sse = Text(f"listening: {entry.get('type')}", style="blue")
            case "sse_closed":
                self._sse = Text(f"closed: {entry.get('reason')}", style="yellow")
            case "polling_started":
                why = "SSE is dead" if entry.get("early") else "nothing came over SSE"
                self._polling = Text(f"polling, since {why}", style="yellow")
            case "poll":
                self._attempts.append((str(entry.get("attempt")), str(entry.get("result"))))
            case _:
                pass

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 2))
        table.add_row(Text("SSE", style="bold blue"), self._sse)
        table.add_row(Text("polling", style="bold yellow"), Text.assemble(self._polling, *self._marks()))
        table.add_row(Text("elapsed", style="dim"), Text(f"{time.monotonic() - self._began_s:.1f} s", style="dim"))
        yield table

    def _marks(self) -> list[Text]:
        looks = {"ready": "green", "pending": "dim"}
        return [Text(f"  {attempt}: {result}", style=looks.get(result, "red")) for attempt, result in self._attempts]
