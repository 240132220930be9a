"""The commands as processes, in the hands of people and scripts: nothing is answered with a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PROVIDERS = '[{"name": "p", "base_url": "http://127.0.0.1:9", "models": ["m"]}]'


def _environment(**variables: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("MONITOR_")} | variables


def _run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """A command to its end: its exit code, and what it said to stdout and stderr."""
    command = [sys.executable, "-m", "monitor", *arguments]
    ran = subprocess.run(command, env=_environment(**variables), capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_harms_no_command(closed: str) -> None:
    command = f'"{sys.executable}" -m monitor generate "a fox" --url http://127.0.0.1:9 {closed}'
    ran = subprocess.run(["sh", "-c", command], env=_environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ("no service answers" in ran.stderr) is ("2>&-" not in closed)
    assert "Assertion" not in ran.stderr


def test_a_terminal_that_knows_no_unicode_is_written_to_all_the_same() -> None:
    code, out, _ = _run("check", MONITOR_PROVIDERS=PROVIDERS, **ASCII_ONLY)
    assert code == 0
    assert "The settings are valid." in out


def test_ctrl_c_is_quiet_even_while_the_command_is_imported(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    assert _run("version", PYTHONPATH=str(tmp_path)) == (130, "", "")
