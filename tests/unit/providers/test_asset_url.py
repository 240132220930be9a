"""Which URLs are a usable asset, and what they are made into."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from monitor.delivery.model import Kind
from monitor.providers.asset_url import _PLAINLY_FINE, MAX_URL_CHARS, usable_url

BASE = "https://editor.example/"
CDN = "https://cdn.example/generated/image/2026/1/31/abc"
SIGNED = f"{CDN}.webp?sv=2024&sig=a%2Bb%3D&se=2026-01-31T12%3A00%3A00Z&e="

USABLE = {
    "of the type": (f"{CDN}.webp", "image", Kind.IMAGE),
    "signed": (SIGNED, "image", Kind.IMAGE),
    "signed, no type": (SIGNED, None, Kind.IMAGE),
    "no extension": (CDN, "image", Kind.IMAGE),
    "another extension, but the type is told": (f"{CDN}.bin", "image", Kind.IMAGE),
    "upper case": (f"{CDN}.PNG", None, Kind.IMAGE),
    "the type tells nothing": (f"{CDN}.png", "other", Kind.IMAGE),
    "the type is empty": (f"{CDN}.png", "", Kind.IMAGE),
    "http": ("http://127.0.0.1:9100/a.png", None, Kind.IMAGE),
    "upper-case scheme": ("HTTPS://cdn.example/a.png", None, Kind.IMAGE),
    "IPv6": ("http://[::1]:9100/a.png", None, Kind.IMAGE),
    "letters of other alphabets": ("https://cdn.example/лиса.png", None, Kind.IMAGE),
    "dots stay as they are": ("https://cdn.example/a/../b.png?", None, Kind.IMAGE),
    "video": ("https://cdn.example/a.mp4", None, Kind.VIDEO),
    "video by type": ("https://cdn.example/a", "video", Kind.VIDEO),
}


@pytest.mark.parametrize("name", USABLE)
def test_a_usable_url_is_left_as_it_is(name: str) -> None:
    url, media_type, kind = USABLE[name]
    assert usable_url(url, media_type, kind, BASE) == url


RELATIVE = {
    "/assets/a.png": "https://editor.example/assets/a.png",
    "assets/a.png": "https://editor.example/assets/a.png",
    "//cdn.example/a.png": "https://cdn.example/a.png",
    "/a.png?sig=a%2Bb%3D+c&x=%7E": "https://editor.example/a.png?sig=a%2Bb%3D+c&x=%7E",
}


@pytest.mark.parametrize("url", RELATIVE)
def test_a_relative_url_stands_on_the_providers(url: str) -> None:
    assert usable_url(url, "image", Kind.IMAGE, BASE) == RELATIVE[url]


UNUSABLE = {
    "null": (None, "image", Kind.IMAGE),
    "empty": ("", "image", Kind.IMAGE),
    "data": ("data:image/png;base64,iVBORw0KGgo=", "image", Kind.IMAGE),
    "script": ("javascript:alert(1)//a.png", "image", Kind.IMAGE),
    "file": ("file:///etc/passwd.png", "image", Kind.IMAGE),
    "ftp": ("ftp://cdn.example/a.png", "image", Kind.IMAGE),
    "no host": ("https://", "image", Kind.IMAGE),
    "blank": (" ", "image", Kind.IMAGE),
    "blank inside": ("https://cdn.example/a b.png", "image", Kind.IMAGE),
    "line end": ("https://cdn.example/a\n.png", "image", Kind.IMAGE),
    "NUL": ("https://cdn.example/a\x00.png", "image", Kind.IMAGE),
    "broken bytes": ("https://cdn.example/a\ufffd.png", "image", Kind.IMAGE),
    "lone surrogate": ("https://cdn.example/a\ud800.png", "image", Kind.IMAGE),
    "backslash": ("https:\\\\cdn.example\\a.png", "image", Kind.IMAGE),
    "too long": (f"{CDN}{'x' * MAX_URL_CHARS}.png", "image", Kind.IMAGE),
    "port": ("https://cdn.example:99999/a.png", "image", Kind.IMAGE),
    "a host that no name can be": ("https://xn--/a.png", "image", Kind.IMAGE),
    "nothing but brackets before an @": ("http://[]@/a.png", "image", Kind.IMAGE),
    "half an IPv6 address": ("http://[::1/a.png", "image", Kind.IMAGE),
    "a text": (f"{CDN}.png", "text", Kind.IMAGE),
    "audio": (f"{CDN}.png", "audio", Kind.IMAGE),
    "a video for an image": ("https://cdn.example/a.mp4", "video", Kind.IMAGE),
    "an image for a video": (f"{CDN}.png", "image", Kind.VIDEO),
    "no type, no extension": (CDN, None, Kind.IMAGE),
    "no type, another extension": ("https://cdn.example/a.mp4", None, Kind.IMAGE),
    "a name like an extension": ("https://cdn.example/png", None, Kind.IMAGE),
    "a hidden file": ("https://cdn.example/.png", None, Kind.IMAGE),
    "an extension in the query only": ("https://cdn.example/a?name=b.png", None, Kind.IMAGE),
    "an extension in a folder only": ("https://cdn.example/a.png/", None, Kind.IMAGE),
    "the host's extension": ("https://cdn.png", None, Kind.IMAGE),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_anything_else_is_not_usable(name: str) -> None:
    assert usable_url(*UNUSABLE[name], BASE) is None


@given(st.one_of(st.text(max_size=80), st.from_regex(r"(https?:)?(//)?[a-z0-9.:\[\]@%-]*/.*", fullmatch=True)))
def test_whatever_is_usable_can_be_fetched_from_the_web(url: str) -> None:
    usable = usable_url(url, "image", Kind.IMAGE, BASE)
    if usable is not None:
        parts = urlsplit(usable)
        assert parts.scheme in ("http", "https")
        assert parts.netloc
        assert usable.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:43807/assets/a.png",
        "https://cdn.provider.test/a/b.webp?X-Amz-Signature=0a1b&X-Amz-Expires=3600",
        "https://storage-1.provider.test/a%20b.png",
    ],
)
def test_what_providers_send_needs_no_closer_look(url: str) -> None:
    assert _PLAINLY_FINE.fullmatch(url)


@given(st.from_regex(_PLAINLY_FINE, fullmatch=True))
def test_what_needs_no_closer_look_is_a_url_with_a_host(url: str) -> None:
    parsed = URL(url)
    assert parsed.scheme in ("http", "https")
    assert parsed.host
    assert usable_url(url, Kind.IMAGE, Kind.IMAGE, "http://provider.test/") == url
    assert usable_url(url, Kind.VIDEO, Kind.IMAGE, "http://provider.test/") is None
