"""A stderr that is not read holds nobody up, and what is lost by it is told when it is read again."""

import errno
import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest
import structlog

from monitor.settings import LoggingSettings
from monitor.telemetry import stderr
from monitor.telemetry.logs import configure_logging
from monitor.telemetry.stderr import BackgroundStream, stderr_in_background


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: where to read, and what to take for stderr."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii", errors="backslashreplace") as stream:
        yield reading, stream
    os.close(reading)


def _clog(stream: TextIO) -> int:
    """Fill the pipe until it takes nothing more; how many bytes that were."""
    os.set_blocking(stream.fileno(), False)
    written = 0
    try:
        while True:
            written += os.write(stream.fileno(), b"." * 1024)
    except BlockingIOError:
        os.set_blocking(stream.fileno(), True)
    return written


def _read(reading: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(reading, size - len(data))
    return data


def _wait_until_taken(stream: BackgroundStream) -> None:
    """Until the thread has begun to write what waits."""
    while stream._waiting:
        threading.Event().wait(0.001)


def test_what_is_written_comes_out_in_order_from_many_threads(pipe: tuple[int, TextIO]) -> None:
    reading, plain = pipe
    stream = BackgroundStream(plain)

    def write(name: str) -> None:
        for number in range(100):
            stream.write(f"{name} {number} …\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.finish(5.0)
    lines = os.read(reading, 65_536).decode().splitlines()
    assert len(lines) == 300
    for name in "abc":
        assert [line for line in lines if line[0] == name] == [f"{name} {number} \\u2026" for number in range(100)]


def test_a_clogged_stderr_holds_nobody_up_and_the_gap_is_told_where_it_is(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, plain = pipe
    clogged = _clog(plain)
    monkeypatch.setattr("sys.stderr", plain)
    monkeypatch.setattr(stderr, "MAX_WAITING_CHARS", 1_000)
    with stderr_in_background():
        stream = sys.stderr
        assert isinstance(stream, BackgroundStream)
        configure_logging(LoggingSettings(format="json"))
        log = structlog.stdlib.get_logger("x")
        log.info("in hand")
        _wait_until_taken(stream)
        for number in range(100):
            log.info("waits", number=number)
        _read(reading, clogged)
        _wait_until_taken(stream)
        log.info("works again")
    lines = [json.loads(line) for line in os.read(reading, 65_536).splitlines()]
    kept = [line["number"] for line in lines if line["event"] == "waits"]
    assert 5 < len(kept) < 100
    assert kept == list(range(len(kept)))
    assert [line["event"] for line in lines if line["event"] != "waits"] == [
        "in hand",
        "log lines were lost, as they could not be written",
        "works again",
    ]
    (gap,) = (line for line in lines if "lines" in line)
    assert gap["lines"] == 100 - len(kept)


def test_the_end_waits_only_so_long_for_a_stderr_that_nobody_reads(pipe: tuple[int, TextIO]) -> None:
    reading, plain = pipe
    clogged = _clog(plain)
    stream = BackgroundStream(plain)
    stream.write("never seen\n")
    stream.finish(0.05)
    assert stream._thread.is_alive()
    _read(reading, clogged)
    stream.finish(5.0)
    assert not stream._thread.is_alive()


def test_lines_that_a_full_disk_refused_are_told_when_there_is_room_again(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, plain = pipe
    write, refused = os.write, threading.Event()

    def write_later(descriptor: int, data: memoryview) -> int:
        if not refused.is_set():
            refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr("os.write", write_later)
    monkeypatch.setattr("sys.stderr", plain)
    with stderr_in_background():
        configure_logging(LoggingSettings(format="json"))
        log = structlog.stdlib.get_logger("x")
        log.info("lost")
        assert refused.wait(5.0)
        log.info("there is room")
    lines = [json.loads(line) for line in os.read(reading, 65_536).splitlines()]
    assert [(line["event"], line.get("lines")) for line in lines] == [
        ("there is room", None),
        ("log lines were lost, as they could not be written", 1),
    ]
