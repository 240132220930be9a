"""Decides what the first bytes of a file are, and whether that and its content type fit the kind of an asset."""

import re
from typing import Final

from monitor.delivery.model import Kind

ENOUGH_BYTES: Final = 4_096
"""What is not known by these many bytes stays unknown."""

SVG: Final = "image/svg+xml"
_TELLS_NOTHING: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""No content type, or one that object stores give to what was uploaded without: the bytes decide, as in browsers."""

_SIGNATURES: Final = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL)),
    ("video/webm", re.compile(rb"\x1a\x45\xdf\xa3.{0,64}?\x42\x82.{1,8}?webm", re.DOTALL)),
    (
        SVG,
        re.compile(
            rb"(?:\xef\xbb\xbf)?"
            rb"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg(?>[^>\[]+|\[.*?\])*+>)*+"
            rb"<(?:[A-Za-z_][\w.-]*+:)?svg[\s/>]",
            re.DOTALL,
        ),
    ),
)
"""After the MIME Sniffing standard, sections 6.1 and 6.2 (WHATWG). Groups that never give back keep SVG's linear."""

_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_NO_VIDEO_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"M4P ", b"mif1", b"msf1", b"heic", b"heix", b"crx "})
"""Sound alone, and pictures, in the container of MP4."""
_MP4_BRAND: Final = re.compile(rb"mp4[0-9]|iso[0-9m]|avc1|M4V.|dash|cmfc")


def media_type_of(head: bytes) -> str | None:
    """The media type of a file that begins with `head`; None if it is none of ours, or not known by so few bytes.

    What is known by some bytes stays so with more.
    """
    for media_type, signature in _SIGNATURES:
        if signature.match(head):
            return media_type
    return _type_by_brands(head)


def misfit(kind: Kind, content_type: str, found: str | None) -> str | None:
    """Why this is no asset of `kind`, in words; None if it is one.

    `content_type` is a header's value, or empty. Browsers show an image that is said to be another type of image. SVG
    alone must be told: it is recognised by its type only, and nothing else by that type.
    """
    said = essence(content_type)
    if said not in _TELLS_NOTHING and not said.startswith(f"{kind}/"):
        return f"said to be {said}"
    if found is None:
        return f"said to be {said or 'nothing'}, but of no known format"
    if not found.startswith(f"{kind}/") or (said == SVG) != (found == SVG):
        return f"said to be {said or 'nothing'}, but is {found}"
    return None


def essence(content_type: str) -> str:
    """The media type of a header's value, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def _type_by_brands(head: bytes) -> str | None:
    """By the first box of an ISO base media file (ISO/IEC 14496-12, section 4.3), once it is there as a whole."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or not 16 <= size <= min(len(head), ENOUGH_BYTES):
        return None
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "image/avif"
    is_video = not brands & _NO_VIDEO_BRANDS and any(map(_MP4_BRAND.fullmatch, brands))
    return "video/mp4" if is_video else None
