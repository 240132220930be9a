"""A request as it is sent: where it goes, and its bytes."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from yarl import URL

_UNSENDABLE: Final = re.compile(r"[\x00\r\n]")


class Place(NamedTuple):
    """Where a request goes: to whom, and for what there (path and query as they are sent).

    A URL would be taken to pieces for each call, and most calls go to the same origin.
    """

    origin: URL
    target: str

    @classmethod
    def of(cls, url: URL) -> "Place":
        """Without a user and password. Raises ValueError for a relative URL."""
        return cls(url.origin(), url.raw_path_qs)

    @property
    def url(self) -> URL:
        """The whole of it."""
        return URL(f"{self.origin}{self.target}", encoded=True)


def render_request(method: str, place: Place, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """The bytes of a request. Raises ValueError when a header would end its line."""
    lines = [f"{method} {place.target} HTTP/1.1", f"Host: {place.origin.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if _UNSENDABLE.search("".join(lines)):
        raise ValueError("a header holds a line break")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")
