"""What the demo says: where to look, what to try, and how each generation went."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape

from monitor.cli.output import out


def say_what_to_open(url: str, provider_url: str, file: Path) -> None:
    """How to look at what runs, and how to break it; `file` has the canaries."""
    monitor = escape(_own_name())
    out.print(f"""
[bold]Generations are running.[/] Open:
  {url}/                       the status page
  {url}/metrics                what Prometheus scrapes
  {url}/v1/summary?window=1h   SSE vs polling, as JSON
Try, in another terminal:
  {monitor} generate "a red fox" --url {url}
  {monitor} generate "a red fox \\[fault:silent]" --url {url}
  curl -X PUT {provider_url}/-/mix -d '{{"mix": {{"silent": 1}}}}'   # break SSE, and watch polling carry it
  {monitor} canary list --url {url}
  curl -X POST {url}/-/reload   # after you changed the canaries in {file}
Ctrl-C ends everything.
""")


def describe_end(answer: dict[str, Any]) -> str:
    """How one generation went, in a line."""
    outcome = answer.get("outcome")
    if outcome == "delivered":
        channel = "[blue]SSE    [/]" if answer["channel"] == "sse" else "[yellow]polling[/]"
        attempts = f"{answer['attempts']} {'attempt' if answer['attempts'] == 1 else 'attempts'}"
        return f"delivered by {channel} in {answer['duration_seconds']:6.2f} s, {attempts}"
    return f"[red]{escape(str(outcome or answer.get('detail')))}[/] {escape(str(answer.get('reason') or ''))}"


def _own_name() -> str:
    """How this program can be called from where it was called now."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m monitor"
    return called.name if shutil.which(called.name) == str(called) else shlex.quote(str(called))
