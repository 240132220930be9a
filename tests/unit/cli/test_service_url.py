"""Where a service can be, for commands that call one."""

import pytest

from monitor.cli.client import check_service_url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://h/", "https://[::1]:1", "http://münchen.de"])
def test_a_service_is_at_an_origin(url: str) -> None:
    assert check_service_url(url) == url


@pytest.mark.parametrize(
    "wrong",
    [
        "foo",
        "",
        "127.0.0.1:8080",
        "http://",
        "http://:8080",
        "ftp://h",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://host/base/path",
        "http://h?x=1",
        "http://h#f",
        "http://" + "a" * 64,
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(wrong: str) -> None:
    with pytest.raises(ValueError, match="allowed is http://HOST:PORT") as caught:
        check_service_url(wrong)
    assert repr(wrong) in str(caught.value)


def test_a_password_in_it_is_not_told() -> None:
    with pytest.raises(ValueError, match="allowed is http://HOST:PORT") as caught:
        check_service_url("http://me:s3cr3t@host")
    assert "s3cr3t" not in str(caught.value)
