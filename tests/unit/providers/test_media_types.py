"""What first bytes are taken for, and what fits which kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.delivery.model import Kind
from monitor.providers.media_types import ENOUGH_BYTES, media_type_of, misfit
from monitor.simulator.assets import render_asset


def boxed(major: bytes, *others: bytes) -> bytes:
    """The first box of an ISO base media file, and the beginning of the next."""
    brands = b"".join(others)
    return (16 + len(brands)).to_bytes(4, "big") + b"ftyp" + major + b"\0\0\2\0" + brands + b"\0\0\0\x08free"


def ebml(doc_type: bytes) -> bytes:
    body = b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82" + bytes([0x80 | len(doc_type)])
    return b"\x1a\x45\xdf\xa3\x9f" + body + doc_type + b"\x42\x87\x81\x04"


KNOWN = {
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
    "JPEG from a camera": (b"\xff\xd8\xff\xe1\0\x10Exif\0", "image/jpeg"),
    "GIF": (b"GIF89a\x40\0\x30\0", "image/gif"),
    "old GIF": (b"GIF87a\x40\0\x30\0", "image/gif"),
    "WebP": (b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0", "image/webp"),
    "WebP, lossless": (b"RIFF\x24\n\0\0WEBPVP8L\x18\0\0\0", "image/webp"),
    "WebP, extended": (b"RIFF\x24\0\0\0WEBPVP8X\x18\0\0\0", "image/webp"),
    "AVIF": (boxed(b"avif", b"avif", b"mif1", b"miaf", b"MA1B"), "image/avif"),
    "AVIF, told late": (boxed(b"mif1", b"mif1", b"miaf", b"avif"), "image/avif"),
    "AVIF, moving": (boxed(b"avis", b"avif", b"avis", b"msf1", b"iso8"), "image/avif"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
    "SVG after all that may be before": (
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <html> -->\n'
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [ <!ENTITY ns "y"> ]>\n <!----><svg>',
        "image/svg+xml",
    ),
    "SVG with a prefix": (b"<s:svg xmlns:s='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "MP4": (boxed(b"isom", b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    "MP4 in fragments": (boxed(b"iso6", b"iso6", b"cmfc", b"mp41"), "video/mp4"),
    "MP4 with no other brand": (boxed(b"mp42"), "video/mp4"),
    "M4V": (boxed(b"M4V ", b"M4V ", b"isom"), "video/mp4"),
    "WebM": (ebml(b"webm"), "video/webm"),
}
UNKNOWN = {
    "nothing": b"",
    "HTML": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "HTML with a drawing": b"<html><body><svg></svg></body></html>",
    "HTML after a comment": b"<!-- <svg> --><html>",
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "an element like it": b"<svgx>",
    "JSON": b'{"detail": "Not found"}',
    "BMP": b"BM\x8a\0\0\0",
    "WAVE": b"RIFF\x24\0\0\0WAVEfmt ",
    "Matroska": ebml(b"matroska"),
    "HEIC": boxed(b"heic", b"mif1", b"heic"),
    "HEIC, moving": boxed(b"msf1", b"msf1", b"hevc", b"iso8"),
    "sound in MP4": boxed(b"M4A ", b"M4A ", b"isom", b"mp42"),
    "QuickTime": boxed(b"qt  ", b"qt  "),
    "a box that is not all there": boxed(b"isom", b"isom", b"mp41")[:20],
    "a box without end": b"\0\0\0\0ftypisom\0\0\2\0",
    "a box as large as all": b"\xff\xff\xff\xffftypisom\0\0\2\0" + b"isom" * 2_000,
    "PNG, as sent by text": b"\x89PNG\n\x1a\n\0\0\0\rIHDR",
    "zipped": b"\x1f\x8b\x08\0",
}


@pytest.mark.parametrize("name", KNOWN)
def test_known(name: str) -> None:
    head, media_type = KNOWN[name]
    assert media_type_of(head) == media_type


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown(name: str) -> None:
    assert media_type_of(UNKNOWN[name]) is None


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_stays_so_with_more_bytes(name: str) -> None:
    head, media_type = KNOWN[name]
    answers = [media_type_of(head[:size]) for size in range(len(head) + 1)]
    known = answers.index(media_type)
    assert answers == [None] * known + [media_type] * (len(answers) - known)


@given(st.binary(max_size=200) | st.sampled_from([head for head, _ in KNOWN.values()]), st.binary(max_size=50))
def test_more_bytes_change_no_answer(head: bytes, more: bytes) -> None:
    media_type = media_type_of(head)
    assert media_type is None or media_type_of(head + more) == media_type


@pytest.mark.parametrize(
    "piece", [b"<!---->", b"<!--", b"<? ?>", b"<!DOCTYPE svg[]", b"[]", b"<a:", b" ", b"]>", b"<!DOCTYPE svg>"]
)
def test_no_text_takes_long(piece: bytes) -> None:
    """Groups that could give back would try every split: more than the age of the universe."""
    assert media_type_of(b"<!DOCTYPE svg" + piece * (ENOUGH_BYTES // len(piece))) is None
    assert media_type_of(piece * (ENOUGH_BYTES // len(piece))) is None


@pytest.mark.parametrize("kind", Kind)
def test_what_the_simulator_serves_is_what_it_says(kind: Kind) -> None:
    body, content_type = render_asset("5b4f0d1e", kind)
    assert media_type_of(body) == content_type
    assert misfit(kind, content_type, content_type) is None


FITS = [
    (Kind.IMAGE, "image/png", "image/png"),
    (Kind.IMAGE, "IMAGE/PNG; charset=binary", "image/png"),
    (Kind.IMAGE, "image/jpg", "image/jpeg"),
    (Kind.IMAGE, "image/png", "image/webp"),
    (Kind.IMAGE, "image/svg+xml; charset=utf-8", "image/svg+xml"),
    (Kind.IMAGE, "", "image/gif"),
    (Kind.IMAGE, "application/octet-stream", "image/avif"),
    (Kind.VIDEO, "video/mp4", "video/mp4"),
    (Kind.VIDEO, "binary/octet-stream", "video/webm"),
]
MISFITS = [
    (Kind.IMAGE, "text/html", None, "said to be text/html"),
    (Kind.IMAGE, "text/html", "image/png", "said to be text/html"),
    (Kind.IMAGE, "text/plain", "image/svg+xml", "said to be text/plain"),
    (Kind.IMAGE, "image/png", None, "said to be image/png, but of no known format"),
    (Kind.IMAGE, "image/png", "video/mp4", "said to be image/png, but is video/mp4"),
    (Kind.IMAGE, "image/png", "image/svg+xml", "said to be image/png, but is image/svg+xml"),
    (Kind.IMAGE, "image/svg+xml", "image/png", "said to be image/svg+xml, but is image/png"),
    (Kind.IMAGE, "", "image/svg+xml", "said to be nothing, but is image/svg+xml"),
    (Kind.IMAGE, "", None, "said to be nothing, but of no known format"),
    (Kind.IMAGE, "video/mp4", "video/mp4", "said to be video/mp4"),
    (Kind.IMAGE, "imagery/png", "image/png", "said to be imagery/png"),
    (Kind.VIDEO, "image/png", "image/png", "said to be image/png"),
    (Kind.VIDEO, "application/octet-stream", "image/png", "said to be application/octet-stream, but is image/png"),
]


@pytest.mark.parametrize(("kind", "content_type", "found"), FITS)
def test_fits(kind: Kind, content_type: str, found: str) -> None:
    assert misfit(kind, content_type, found) is None


@pytest.mark.parametrize(("kind", "content_type", "found", "why"), MISFITS)
def test_does_not_fit(kind: Kind, content_type: str, found: str | None, why: str) -> None:
    assert misfit(kind, content_type, found) == why
