"""How a log line is made and where it goes: JSON or console, to stderr, safe whatever the text in it."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson
import structlog

from monitor.settings import LoggingSettings

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_REPLACEMENT: Final = "\ufffd"

_Processor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def configure_logging(settings: LoggingSettings) -> None:
    """Send all logging, ours and from warning on the libraries', to stderr.

    stdout is for what a command was asked for (an asset, a token), so that it can be piped.
    """
    level = _LEVELS[settings.level]
    as_console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    render: Any = _console() if as_console else _json
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        make_printable,
    ]
    _route_libraries(shared, render, max(level, logging.WARNING))
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_lines_to_stderr,
        cache_logger_on_first_use=False,
    )


def make_printable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No text from outside can begin a line of its own, colour a terminal, or turn the direction of writing."""
    for key, value in event.items():
        if not isinstance(value, str) or value.isprintable():
            continue
        if key == "exception":
            event[key] = "\n".join(f"    {_printable(line)}" for line in value.split("\n"))
        else:
            event[key] = _printable(value)
    return event


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else _REPLACEMENT for char in text)


def _console() -> Any:
    """Tracebacks are plain: the pretty ones show the values of variables, and so secrets."""
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=30
    )


def _json(_: Any, __: str, event: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # a key or a number that orjson does not take
        return json.dumps({str(key): value for key, value in event.items()}, default=str)


def _route_libraries(shared: list[_Processor], render: Any, level: int) -> None:
    handler = _LibraryLines()
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, render])
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


class _LibraryLines(logging.Handler):
    """Writes what a library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write(self.format(record))
        except Exception:  # noqa: BLE001 - a record that cannot be formatted must not harm who logs it
            self.handleError(record)


class _Lines:
    """Writes what we log."""

    def msg(self, line: str) -> None:
        _write(line)

    debug = info = warning = error = critical = exception = msg


def _lines_to_stderr(*_: Any) -> _Lines:
    return _Lines()


def _write(line: str) -> None:
    """Write it at once, to what stderr is now. Where nobody reads any more, there is nobody to tell."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
