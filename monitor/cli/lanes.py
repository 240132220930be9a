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
        self._sse = self._polling = Text("waiting for the provider", style="dim")
        self._has_result = False
        self._sse_began = self._polling_began = False
        self._attempts: list[tuple[str, str]] = []

    def add(self, entry: dict[str, Any]) -> None:
        """One more entry of the timeline."""
        match entry["event"]:
            case "submitted":
                self._sse, self._polling = Text("connecting", style="dim"), Text("waiting for its turn", style="dim")
            case "sse_opened" | "sse_event" | "sse_closed":
                self._sse_began = True
                self._sse = self._stream(entry)
            case "polling_started":
                self._polling_began = True
                why = "SSE is dead" if entry.get("early") else "nothing came over SSE"
                self._polling = Text(f"began, as {why}", style="yellow")
            case "poll":
                attempt = entry.get("attempt")
                name = f"attempt {attempt}" if attempt else "on open"
                self._attempts.append((name, str(entry.get("result"))))
            case "ended":
                self._end()
            case _:
                pass

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 2))
        table.add_row(Text("SSE", style="bold blue"), self._sse)
        table.add_row(Text("polling", style="bold yellow"), Text.assemble(self._polling, *self._marks()))
        table.add_row(Text("elapsed", style="dim"), Text(f"{time.monotonic() - self._began_s:.1f} s", style="dim"))
        yield table

    def _stream(self, entry: dict[str, Any]) -> Text:
        """The stream after this entry. What it brought is not forgotten when it is closed."""
        self._has_result |= entry.get("type") == "result"
        if self._has_result:
            return Text("brought the result", style="green")
        if entry["event"] != "sse_closed":
            seen = entry.get("type")
            return Text(f"listening: {seen}" if seen else "listening", style="blue")
        why = entry.get("reason")
        return Text("brought no result" if why == "done" else f"closed: {why}", style="yellow")

    def _end(self) -> None:
        """What has not begun by now will not."""
        if not self._sse_began:
            self._sse = Text("was not needed", style="dim")
        if not self._polling_began:
            was_ready = any(result == "ready" for _, result in self._attempts)
            self._polling = Text("before its turn" if was_ready else "was not needed", style="dim")

    def _marks(self) -> list[Text]:
        looks = {"ready": "green", "pending": "dim"}
        return [Text(f"  {name}: {result}", style=looks.get(result, "red")) for name, result in self._attempts]
