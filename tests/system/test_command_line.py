"""The commands as processes, in the hands of people and scripts: nothing is answered with a traceback."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.programs import free_port

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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "a fox", "--url", "foo"], "allowed is"),
        (["simulate-provider", "--port", "99999"], "65535"),
        (["simulate-provider", "--token", "a\nb"], "allowed is"),
        (["simulate-provider", "--render", "-1"], "for --render"),
        (["simulate-provider", "--render-time", "comfyui/flux=35/20"], "for --render-time"),
        (["simulate-provider", "--time-scale", "0"], "for --time-scale"),
        (["simulate-provider", "--mix", "silent=1", "--mix", "silent=2"], "silent is given twice"),
        (["demo", "--port", "99999"], "65535"),
        (["check", "--config", "."], "is a directory"),
    ],
)
def test_wrong_usage_is_told_in_words(arguments: list[str], said: str) -> None:
    code, _, err = _run(*arguments)
    assert code == 2
    assert said in " ".join(err.split())


def test_a_token_that_can_be_none_is_told_and_not_shown() -> None:
    code, _, err = _run("generate", "a fox", MONITOR_TOKEN="s3cr3t\nb")
    assert (code, "MONITOR_TOKEN" in err, "s3cr3t" in err) == (2, True, False)


def test_a_service_whose_log_nobody_reads_serves_on_and_stops_when_told_to(tmp_path: Path) -> None:
    variables = {
        "MONITOR_PROVIDERS": PROVIDERS,
        "MONITOR_STORE__URL": f"sqlite:///{tmp_path / 'monitor.db'}",
        "MONITOR_SERVER__PORT": str(free_port()),
    }
    reading, writing = os.pipe()
    _clog(writing)
    service = subprocess.Popen(
        [sys.executable, "-m", "monitor", "serve"], env=_environment(**variables), stderr=writing
    )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{variables['MONITOR_SERVER__PORT']}/-/healthy")
        service.send_signal(signal.SIGTERM)
        assert service.wait(15) == 0
    finally:
        service.kill()
        service.wait()
        os.close(reading)
        os.close(writing)


@contextmanager
def _demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process group of its own, as a terminal starts it, in a folder with settings not meant for it."""
    (folder / "monitor.toml").write_text("[nonsense]\n")
    command = [sys.executable, "-m", "monitor", "demo", "--port", "0", "--provider-port", "0", "--every", "0.1"]
    demo = subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(TMPDIR=str(folder), PYTHONPATH=str(Path.cwd())),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield demo
        assert not list(folder.glob("monitor-demo-*"))
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.pid, 0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
        demo.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_demo_leaves_nothing_behind_when_it_is_stopped_while_it_starts(
    tmp_path: Path, number: signal.Signals
) -> None:
    with _demo(tmp_path) as demo:
        while not list(tmp_path.glob("monitor-demo-*")):
            assert demo.poll() is None
            time.sleep(0.01)
        demo.send_signal(number)
        said, _ = demo.communicate(timeout=30)
        assert (demo.returncode, said) == (0, "")


def test_the_demo_needs_no_settings_and_ends_in_peace_at_ctrl_c(tmp_path: Path) -> None:
    with _demo(tmp_path) as demo:
        assert demo.stdout is not None
        said = ""
        while "delivered by" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        os.killpg(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=30)
        assert demo.returncode == 0
        assert "None" not in rest
        assert "taken up again" not in rest
        assert f"{sys.executable} -m monitor generate" in said  # what it says to try works as it stands


def _clog(writing: int) -> None:
    """Fill a pipe, so that the next to write to it waits for ever."""
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 1024)
    os.set_blocking(writing, True)


def _wait_until_healthy(url: str) -> None:
    for _ in range(200):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            assert response.status == 200
            return
        time.sleep(0.1)
    pytest.fail(f"{url} does not answer")
