"""The Dockerfile: a linter, what we keep to, and locks that pin the same as the one that everything is tested with."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.stack.files import ROOT, StackFiles, instructions

DOCKERFILE = StackFiles(ROOT).dockerfile
PINS = {"development": "requirements.lock", "image": "requirements-run.lock", "building": "requirements-build.lock"}


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.fixture
def hadolint() -> str:
    program = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is not None:
        return program
    said = "hadolint is not installed; `make install` on Linux installs it"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


def test_hadolint_has_nothing_against_it(hadolint: str) -> None:
    done = _run(hadolint, "--no-color", ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_sees_a_base_that_is_not_pinned(hadolint: str, tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    text = (ROOT / "Dockerfile").read_text("utf-8")
    wrong.write_text(text.replace("ARG PYTHON=3.11.14-slim-bookworm\n", "").replace(":${PYTHON}", ""), "utf-8")
    assert "DL3006" in _run(hadolint, "--no-color", wrong).stdout


def test_both_stages_stand_on_one_pinned_slim_python() -> None:
    assert instructions(DOCKERFILE, "FROM") == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    version = next(value for value in instructions(DOCKERFILE, "ARG") if value.startswith("PYTHON="))
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-bookworm", version)


def test_the_last_stage_runs_as_nobody_of_the_host_and_stops_and_is_asked_as_the_service_expects() -> None:
    names = [name for name, _ in DOCKERFILE]
    last = DOCKERFILE[len(names) - names[::-1].index("FROM") :]
    (user,) = instructions(last, "USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert instructions(last, "STOPSIGNAL") == ["SIGTERM"]
    assert instructions(last, "COPY") == ["--from=build /opt/monitor /opt/monitor"], "nothing of the build stays"
    (check,) = instructions(last, "HEALTHCHECK")
    assert "/-/healthy" in check
    assert "curl" not in check
    assert [name for name, _ in last].index("USER") < [name for name, _ in last].index("ENTRYPOINT")


def test_nothing_is_installed_without_its_hash() -> None:
    installs = [line for text in instructions(DOCKERFILE, "RUN") for line in text.split("&&") if " install " in line]
    assert len(installs) == 3
    for line in installs:
        is_ours = "--no-deps dist/generation_monitor-" in line
        assert is_ours or "--require-hashes -r requirements-" in line, line


def test_the_python_of_the_image_is_one_that_the_package_takes() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    version = next(value for value in instructions(DOCKERFILE, "ARG") if value.startswith("PYTHON="))
    assert re.findall(r"\d+", version)[:2] == re.findall(r"\d+", wanted)[:2], "what is tested with is what is shipped"


def test_every_file_that_is_copied_in_is_there_and_let_through() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = [shlex.split(text)[:-1] for text in instructions(DOCKERFILE, "COPY") if "--from" not in text]
    wanted = [name for names in copied for name in names]
    assert sorted(wanted) == sorted(let_in)
    for name in wanted:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("name", ["deploy/secrets/operator_token", ".git/config", "monitor.db", "tests/conftest.py"])
def test_nothing_else_gets_into_the_build(name: str) -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    assert not any(fnmatch(name, rule[1:]) or name.startswith(f"{rule[1:]}/") for rule in rules if rule[0] == "!")


def _pins(lock: str) -> dict[str, str]:
    """Each package of a lock with its version, marker and hashes, as they stand there."""
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text("utf-8").strip())
    return {re.split(r"==", block)[0].strip().lower(): _spaced(block) for block in blocks}


def _spaced(block: str) -> str:
    """Without the marker, which is wider where more packages ask for this one."""
    version, *rest = block.replace("\\\n", " ").split("--hash=")
    return " ".join([version.partition(";")[0].strip(), *sorted(part.strip() for part in rest)])


def test_the_image_and_its_building_are_pinned_as_everything_else() -> None:
    all_pins = _pins(PINS["development"])
    for lock in (PINS["image"], PINS["building"]):
        for name, pin in _pins(lock).items():
            assert all_pins[name] == pin, f"{name} in {lock}; `make lock` makes them agree"


def test_the_image_has_what_the_package_asks_for_and_nothing_for_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    image = _pins(PINS["image"])
    asked = {_canonical(Requirement(text).name) for text in project["dependencies"]}
    assert asked <= set(image)
    assert not {"pytest", "mypy", "ruff", "playwright", "grafanalib", "hatchling"} & set(image)


def test_what_builds_the_wheel_is_pinned() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    assert {Requirement(text).name for text in build} <= set(_pins(PINS["building"]))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
