"""What addresses look like in the settings: of hosts, of providers and collectors, of pages, of the database."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import AfterValidator
from sqlalchemy.exc import ArgumentError

_NAME_CHARS: Final = 253
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_HIGHEST_PORT: Final = 65_535
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "sqlite": frozenset(),
    "postgresql": frozenset({"host", "password", "port", "ssl", "user"}),
}
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_STORE_URLS: Final = "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def parse_store_url(url: str) -> sa.URL:
    """The database's address with the driver that is used. Raises ValueError, never with the password."""
    scheme, _, rest = url.partition("://")
    if scheme not in _DRIVERS or not rest:
        raise ValueError(f"is no database that is known; {_STORE_URLS}")
    try:
        parsed = sa.make_url(url).set(drivername=_DRIVERS[scheme])
    except (ArgumentError, ValueError):
        raise ValueError(f"is no address of a database; is its port a number? {_STORE_URLS}") from None
    query = {"ssl" if key == "sslmode" else key: value for key, value in parsed.query.items()}
    if unknown := sorted(query.keys() - _OPTIONS[scheme]):
        known = ", ".join(sorted(_OPTIONS[scheme])) or "none"
        raise ValueError(f"has options that are not known: {', '.join(unknown)}; allowed: {known}")
    if scheme == "sqlite":
        _check_file(parsed)
    else:
        _check_server(parsed, query)
    return parsed.set(query=query)


def _check_file(url: sa.URL) -> None:
    if url.host:
        raise ValueError("has two slashes, and a file needs three: sqlite:///FILE, or four where its path begins at /")
    if url.database in (None, "", ":memory:"):
        raise ValueError("names no file, and records are to outlive the service; write sqlite:///FILE")
    if "\0" in str(url.database):
        raise ValueError("names a file that cannot be; write sqlite:///FILE")


def _check_server(url: sa.URL, query: Mapping[str, object]) -> None:
    port, ssl = str(query.get("port", url.port or 5432)), query.get("ssl", "prefer")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _HIGHEST_PORT):
        raise ValueError(f"has a port that cannot be, {port}; 1 to {_HIGHEST_PORT} are allowed")
    if ssl not in _SSL_MODES:
        raise ValueError(f"has an ssl mode that is not known; allowed: {', '.join(_SSL_MODES)}")


def is_host(text: str) -> bool:
    """Whether `text` is an address (IPv6 without brackets), or a name as the DNS takes it (RFC 1123, section 2.1)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= _NAME_CHARS and bool(_HOST_NAME.fullmatch(text))
    return True


def _check_host(host: str) -> str:
    if not is_host(host):
        raise ValueError("a host is an address, as 127.0.0.1 or ::1, or a name, with labels of 1 to 63 characters")
    return host


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("a base URL looks like https://host or http://host:port")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a base URL has no user, password, query or fragment; the token has a key of its own")
    if not _VISIBLE.fullmatch(url) or not is_host(parts.hostname):
        raise ValueError(
            "a base URL has a host whose labels have 1 to 63 of a-z, 0-9, '_' and '-', and no spaces; "
            "other letters are written in ASCII (xn--… in a name, %… in a path)"
        )
    return url.rstrip("/").removesuffix("/api/v1")


def _check_origin(origin: str) -> str:
    """As a browser writes it in the header `Origin`: no path, no default port, lower case (RFC 6454, section 6.2)."""
    if origin == "*":
        return origin
    parts = urlsplit(origin.lower().removesuffix("/"))
    scheme, host, port = parts.scheme, parts.hostname, parts.port
    rest = (parts.path, parts.query, parts.fragment, parts.username)
    if scheme not in ("http", "https") or not host or not is_host(host) or any(rest):
        raise ValueError('an origin looks like https://app.example or http://localhost:3000; "*" stands for all')
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + ("" if port in (None, {"http": 80, "https": 443}[scheme]) else f":{port}")


def _check_store_url(url: str) -> str:
    parse_store_url(url)
    return url


Host = Annotated[str, AfterValidator(_check_host)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
Origin = Annotated[str, AfterValidator(_check_origin)]
StoreUrl = Annotated[str, AfterValidator(_check_store_url)]
