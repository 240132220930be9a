"""The command line: one command a file. Words for people go to stdout, trouble to stderr, exit codes to scripts."""

import os
import sys

_STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_CTRL_C = 130


def main() -> None:
    """Run the command line. Ctrl-C ends it quietly, even while it is still being imported.

    So what this module itself imports is what Python has loaded when it starts.
    """
    try:
        _open_standard_streams()
        from monitor.cli.commands import run_command

        run_command()
    except KeyboardInterrupt:
        sys.exit(_CTRL_C)


def _open_standard_streams() -> None:
    """Have something open as 0, 1 and 2, and write what the terminal's encoding lacks as an escape.

    Where one was closed (`>&-`), the next socket would take its number, and be sent what is printed.
    """
    for number, (name, mode) in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free: this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
