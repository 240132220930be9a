"""Reads the URLs that providers name, whatever they look like."""

from yarl import URL


def parse_url(text: str) -> URL:
    """`text` as a URL. Raises ValueError where it is none."""
    try:
        return URL(text)
    except IndexError:  # yarl's own, for an empty host between a pair of brackets and an @
        raise ValueError("the URL has no host") from None
