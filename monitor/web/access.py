"""Who may do what: bearer tokens with scopes, and loopback only when there are none."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import web

from monitor.settings import Scope, TokenSettings
from monitor.web.problems import Problem

TOKEN_PREFIX: Final = "gm_"  # noqa: S105 - a prefix, so that a leaked token is recognised
_REALM: Final = "generation-monitor"


def new_token() -> str:
    """A token that nobody can guess: 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What the settings keep of a token. Plain SHA-256: the token is random, so there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's name, or `local` where no tokens are set."""

    name: str
    scopes: frozenset[Scope]


_LOCAL: Final = Caller("local", frozenset(Scope))


class AccessControl:
    """Decides on a request. Without tokens, everything that addresses this machine by a loopback name is let in."""

    def __init__(self, tokens: Sequence[TokenSettings]) -> None:
        self._tokens = [(token.sha256, Caller(token.name, token.scopes)) for token in tokens]

    def admit(self, request: web.Request, scope: Scope) -> Caller:
        """The caller, if it may do what `scope` says. Raises Problem 401 or 403."""
        if not self._tokens:
            _check_local(request)
            return _LOCAL
        caller = self._find(_presented(request))
        if scope not in caller.scopes and Scope.ADMIN not in caller.scopes:
            has = ", ".join(sorted(caller.scopes))
            detail = f"token {caller.name!r} has the scopes {has}; this needs {scope}"
            raise Problem(
                HTTPStatus.FORBIDDEN,
                detail,
                headers={"WWW-Authenticate": f'Bearer realm="{_REALM}", error="insufficient_scope", scope="{scope}"'},
            )
        return caller

    def _find(self, token: str) -> Caller:
        """Every token is compared, each in constant time, so that time tells nothing."""
        digest = hash_token(token)
        found: Caller | None = None
        for sha256, caller in self._tokens:
            if hmac.compare_digest(sha256, digest):
                found = caller
        if found is None:
            raise _unauthorized("the token is not known")
        return found


def _presented(request: web.Request) -> str:
    """The token of the request. A browser may send it as the password of Basic, but only to read."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic" and request.method in ("GET", "HEAD"):
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            pass
    raise _unauthorized("send a token: Authorization: Bearer <token> (or, to read in a browser, as the password)")


def _unauthorized(detail: str) -> Problem:
    challenge = f'Basic realm="{_REALM}", charset="UTF-8"'
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def _check_local(request: web.Request) -> None:
    """Refuse pages of other sites whose name was made to point here (DNS rebinding), and their scripts."""
    try:
        host = request.url.host or ""
    except ValueError:  # a port that cannot be, or bytes that are no name
        raise Problem(HTTPStatus.BAD_REQUEST, f"the Host header is no host: {request.headers.get('Host')!r}") from None
    if not _is_loopback(host):
        detail = f"without tokens only loopback names are served; the Host header says {host!r}"
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    origin = request.headers.get("Origin")
    if origin is not None and request.method not in ("GET", "HEAD") and origin != f"{request.scheme}://{request.host}":
        raise Problem(HTTPStatus.FORBIDDEN, "without tokens, pages of other origins may not change anything")


@lru_cache(1_000)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
