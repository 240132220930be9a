"""A caller of the service's own HTTP API, for the command line."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from monitor.delivery.errors import MonitorError, SettingsInvalid
from monitor.providers.eventstream import EventStreamDecoder

TOKEN_VARIABLE: Final = "MONITOR_TOKEN"  # noqa: S105 - a name, not a token


class ServiceFailed(MonitorError):
    """The service could not be reached, or refused."""


class ServiceClient:
    """Calls one service. Raises ServiceFailed with the service's own words."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Ask for a generation."""
        return _checked(await self._call("POST", "/v1/generations", json=body), "id")

    async def read(self, generation_id: str) -> dict[str, Any]:
        """A generation as it stands."""
        return await self._call("GET", f"/v1/generations/{generation_id}")

    async def cancel(self, generation_id: str) -> dict[str, Any]:
        """Cancel a generation."""
        return await self._call("DELETE", f"/v1/generations/{generation_id}")

    async def canaries(self) -> list[dict[str, Any]]:
        """All canaries of the plan."""
        listed: list[dict[str, Any]] = (await self._call("GET", "/v1/canaries"))["items"]
        return listed

    async def run_canary(self, name: str) -> dict[str, Any]:
        """One run of a canary now: its generation."""
        return _checked(await self._call("POST", f"/v1/canaries/{name}/run"), "id")

    async def pause_canary(self, name: str, reason: str, for_s: float) -> dict[str, Any]:
        """Have it not run by itself for so long."""
        return await self._call("POST", f"/v1/canaries/{name}/pause", json={"reason": reason, "seconds": for_s})

    async def resume_canary(self, name: str) -> dict[str, Any]:
        """Let it run again."""
        return await self._call("POST", f"/v1/canaries/{name}/resume")

    async def summarize(self, window: str, *, with_distributions: bool) -> dict[str, Any]:
        """SSE against polling over a window of time."""
        wanted = {"distributions": "true"} if with_distributions else {}
        return await self._call("GET", "/v1/summary", params={"window": window, **wanted})

    async def follow(self, generation_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Each event of a generation with its name; the last is `generation`, unless the service stops before."""
        decoder = EventStreamDecoder()
        path = f"/v1/generations/{generation_id}/events"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with self._http.get(path, timeout=timeout) as response:
            await _check(response)
            async for chunk in response.content.iter_any():
                for event in decoder.feed(chunk):
                    is_last = event.event == "generation"
                    yield event.event, _checked(_parse(event.data), "outcome" if is_last else "event")

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self._http.request(method, path, **options) as response:
            await _check(response)
            return _checked(_parse(await response.read()))


def _parse(text: bytes | str) -> Any:
    """The value of a body or an event; None where that is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _checked(answer: Any, *keys: str) -> dict[str, Any]:
    """`answer`, if it is an object that has these. Raises ServiceFailed."""
    if not isinstance(answer, dict) or not all(key in answer for key in keys):
        raise ServiceFailed("what answers there is no generation monitor")
    return answer


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.ok:
        return
    try:
        detail = str(orjson.loads(await response.read())["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        detail = response.reason or "no reason given"
    if response.status == HTTPStatus.UNAUTHORIZED:
        detail = f"{detail}; this command sends the token that {TOKEN_VARIABLE} holds"
    raise ServiceFailed(f"the service answers {response.status}: {detail}")


def check_service_url(text: str) -> str:
    """`text`, if a service can be there. Raises ValueError."""
    try:
        url = URL(text)
        is_fine = url.scheme in ("http", "https") and bool((url.host or "").encode("idna")) and url == url.origin()
    except ValueError:  # no URL at all, or a port or a host that cannot be one
        is_fine = False
    if not is_fine:
        found = "what was given" if "@" in text else repr(text)  # before an @ there may be a password
        raise ValueError(f"{found} is not where a service can be; allowed is http://HOST:PORT or https://HOST:PORT")
    return text


@asynccontextmanager
async def open_service(url: str) -> AsyncIterator[ServiceClient]:
    """A client of the service at `url`, with the token of `MONITOR_TOKEN` when that is set."""
    try:
        async with aiohttp.ClientSession(url, headers=_authorization()) as http:
            yield ServiceClient(http)
    except aiohttp.ClientConnectorError:
        raise ServiceFailed(f"no service answers at {url}; start one with `monitor demo` or `monitor serve`") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ServiceFailed(f"the connection to {url} failed: {str(error) or type(error).__name__}") from None


def _authorization() -> dict[str, str]:
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        return {}
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise SettingsInvalid([f"{TOKEN_VARIABLE}: has a space, a line end or another character that no token has"])
    return {"Authorization": f"Bearer {token}"}
