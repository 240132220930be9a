"""Who may do what: bearer tokens with scopes, and loopback only when there are none."""

import base64
import binascii
import hmac
import ipaddress
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import web

from monitor.settings import Scope, TokenSettings, hash_token
from monitor.web.problems import Problem

ANY_ORIGIN: Final = "*"
TOKEN_PREFIX: Final = "gm_"  # noqa: S105 - a prefix, so that a leaked token is recognised
_REALM: Final = "generation-monitor"
_BASIC: Final = f'Basic realm="{_REALM}", charset="UTF-8"'
_BEARER: Final = f'Bearer realm="{_REALM}"'


def new_token() -> str:
    """A token that nobody can guess: 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's name, or `local` where no tokens are set."""

    name: str
    scopes: frozenset[Scope]


_LOCAL: Final = Caller("local", frozenset(Scope))


class AccessControl:
    """Decides on a request. Without tokens, everything that addresses this machine by a loopback name is let in."""

    def __init__(self, tokens: Sequence[TokenSettings]) -> None:
        self._tokens = [(token.sha256 or "", Caller(token.name, token.scopes)) for token in tokens]

    def admit(self, request: web.Request, scope: Scope) -> Caller:
        """The caller, if it may do what `scope` says. Raises Problem 401 or 403."""
        if not self._tokens:
            _check_host(request)
            if request.method not in ("GET", "HEAD"):
                _check_origin(request, (), "without tokens, pages of other origins may not change anything")
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

    def admit_report(self, request: web.Request, token: str | None, allowed_origins: Collection[str]) -> Caller:
        """The caller, if it may report; pages of `allowed_origins` may, too. Raises Problem 401 or 403.

        `token` is what the body holds: a beacon has no headers. Everybody who sees the page can read it there, so it
        counts only when it can do nothing but report.
        """
        refusal = f"pages of {request.headers.get('Origin', '')[:100]!r} may not report; see reports.allowed_origins"
        _check_origin(request, allowed_origins, refusal)
        if not self._tokens:
            _check_host(request)
            return _LOCAL
        if request.headers.get("Authorization", "").lower().startswith("bearer "):
            return self.admit(request, Scope.REPORT)
        if token is None:
            raise _unauthorized("send a token: Authorization: Bearer <token>, or in the body, as token", _BEARER)
        caller = self._find(token, _BEARER)
        if caller.scopes != {Scope.REPORT}:
            detail = f"token {caller.name!r} can do more than report, so it must not be in a body, that is in a page"
            raise Problem(HTTPStatus.FORBIDDEN, detail)
        return caller

    def _find(self, token: str, challenge: str | None = None) -> Caller:
        """Every token is compared, each in constant time, so that time tells nothing."""
        digest = hash_token(token)
        found: Caller | None = None
        for sha256, caller in self._tokens:
            if hmac.compare_digest(sha256, digest):
                found = caller
        if found is None:
            raise _unauthorized("the token is not known", challenge)
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


def _unauthorized(detail: str, challenge: str | None = None) -> Problem:
    """Browsers ask a person for the password where the challenge is Basic; no report is worth that."""
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge or _BASIC})


def _check_host(request: web.Request) -> None:
    """Refuse names of other sites that were made to point here (DNS rebinding)."""
    try:
        host = request.url.host or ""
    except ValueError:  # a port that cannot be, or bytes that are no name
        raise Problem(HTTPStatus.BAD_REQUEST, f"the Host header is no host: {request.headers.get('Host')!r}") from None
    if not _is_loopback(host):
        detail = f"without tokens only loopback names are served; the Host header says {host!r}"
        raise Problem(HTTPStatus.FORBIDDEN, detail)


def _check_origin(request: web.Request, allowed: Collection[str], refusal: str) -> None:
    """Refuse the scripts of other sites' pages. What is no browser sends no `Origin`."""
    origin = request.headers.get("Origin")
    if origin is None or origin in allowed or ANY_ORIGIN in allowed or origin == f"{request.scheme}://{request.host}":
        return
    raise Problem(HTTPStatus.FORBIDDEN, refusal)


@lru_cache(1_000)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
