"""Renders a scrape. Call it off the event loop: it takes tens of milliseconds at full spread."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The text and its content type: OpenMetrics where the scraper asks for it, else Prometheus's own format."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
