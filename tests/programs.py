"""The real programs that tests start, from Debian's packages, on ports of loopback that are free."""

import os
import shutil
import socket
from typing import NoReturn

import pytest


def require(program: str) -> str:
    """Where the program is. Where it is not installed the test is skipped, and in CI it fails."""
    found = shutil.which(program)
    return found if found is not None else not_installed(program)


def not_installed(what: str) -> NoReturn:
    """Skip the test, or in CI fail it."""
    said = f"{what} is not installed; `make test` as root on Debian installs it"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
