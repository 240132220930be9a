"""`monitor version`: what runs here."""

import platform
from importlib.metadata import version as version_of

import monitor
from monitor.cli.output import out


def version() -> None:
    """Say the version, and those of what it stands on."""
    libraries = ", ".join(f"{name} {version_of(name)}" for name in ("aiohttp", "prometheus-client", "sqlalchemy"))
    out.print(f"generation-monitor {monitor.__version__} (Python {platform.python_version()}, {libraries})")
