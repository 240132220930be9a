"""The real programs that check rules and routes."""

import subprocess
from pathlib import Path
from typing import Final

from tests.programs import require

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = ROOT / "alerts"


def run(program: str, *arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """What the program said. Where it is not installed the test is skipped, and in CI it fails."""
    command = [require(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
