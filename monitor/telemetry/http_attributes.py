"""What a span says of its HTTP call, by OpenTelemetry's conventions for clients, as far as it is no secret.

An id of a file or a project is all that somebody needs to follow it, and the URL of an asset may be signed: where they
would stand, the conventions' own word for what is left out stands.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from monitor.delivery.model import Flow, Generation, Kind, Stage
from monitor.settings import ProviderSettings

REDACTED: Final = "REDACTED"
_PLACEHOLDER: Final = re.compile(r"\{\w+\}")
_PORTS: Final = {"http": 80, "https": 443}
_MAX_HOST_CHARS: Final = 253

UrlTemplate = Callable[[Stage, Flow, Kind], str | None]
"""The path of a call, from `/` on, with `{names}` in place of ids; None when the provider has no such call."""
HttpAttributes = dict[str, str | int]


class HttpCalls:
    """Knows where the calls to each provider go."""

    def __init__(self, providers: Sequence[ProviderSettings] = (), url_template: UrlTemplate | None = None) -> None:
        self._base_urls = {provider.name: provider.base_url for provider in providers}
        self._url_template = url_template

    def to_provider(self, generation: Generation, stage: Stage) -> HttpAttributes:
        """Of a call to the provider's API."""
        attributes: HttpAttributes = {"http.request.method": "POST" if stage is Stage.CREATE else "GET"}
        base_url = self._base_urls.get(generation.provider)
        if base_url is None:
            return attributes
        attributes |= _server(base_url)
        path = None if self._url_template is None else self._url_template(stage, generation.flow, generation.kind)
        if path is not None:
            attributes["url.template"] = urlsplit(base_url).path + path
            attributes["url.full"] = base_url + _PLACEHOLDER.sub(REDACTED, path)
        return attributes

    def to_asset(self, url: str) -> HttpAttributes:
        """Of a fetch of the asset, as a stranger: nothing below its host is told."""
        server = _server(url)
        if not server:
            return {"http.request.method": "GET"}
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        port = f":{parts.port}" if parts.port is not None else ""
        full = f"{parts.scheme}://{host}{port}/{REDACTED}"
        return {"http.request.method": "GET", **server, "url.full": full}


def _server(url: str) -> HttpAttributes:
    """Host and port of a URL. Nothing of one that has none: it comes from a provider."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return {}
    if not host or len(host) > _MAX_HOST_CHARS or port is None:
        return {}
    return {"server.address": host, "server.port": port}
