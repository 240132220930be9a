"""Decides whether a URL is a usable asset of a kind, and makes it absolute."""

import re
from typing import Final
from urllib.parse import urljoin

from monitor.delivery.model import Kind
from monitor.providers.web_url import parse_url

MAX_URL_CHARS: Final = 4_096
_EXTENSIONS: Final = {
    Kind.IMAGE: frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "svg", "avif"}),
    Kind.VIDEO: frozenset({"mp4", "mov", "webm", "avi", "mkv"}),
}
_TELLS_NOTHING: Final = frozenset({None, "", "other"})
_PLAINLY_FINE: Final = re.compile(r"https?://[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[1-5]?[0-9]{1,4})?/[!-\[\]-~]*")
"""What needs no closer look, which costs more than the rest of an event: no blank, backslash or control character."""
_NOT_IN_A_URL: Final = re.compile(r"[\s\\\ufffd]")  # a replacement character stands for bytes that were broken


def usable_url(url: str | None, media_type: str | None, kind: Kind, base_url: str) -> str | None:
    """`url` made absolute, if it is an asset of `kind`: by the file's type where that is told, else by extension.

    Its text is otherwise left as it is: a signature may cover every character of it.
    """
    if not url or len(url) > MAX_URL_CHARS:
        return None
    is_told = media_type not in _TELLS_NOTHING
    if is_told and _PLAINLY_FINE.fullmatch(url):
        return url if media_type == kind else None
    if not url.isprintable() or _NOT_IN_A_URL.search(url):
        return None
    try:
        parsed = parse_url(url)
        if not parsed.scheme:
            url = urljoin(base_url, url)
            parsed = parse_url(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:  # which is not decoded before it is asked for
            return None
    except ValueError:
        return None
    fits = media_type == kind if is_told else parsed.suffix.removeprefix(".").lower() in _EXTENSIONS[kind]
    return url if fits else None
