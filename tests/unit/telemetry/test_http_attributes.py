"""What spans say of HTTP calls: where they went, and nothing that anybody could use."""

import pytest

from monitor.delivery.model import Flow, Kind, Stage
from monitor.settings import ProviderSettings
from monitor.telemetry.http_attributes import HttpCalls
from tests.unit.telemetry.facts_of import GENERATION, PROVIDER, like


def _template(stage: Stage, flow: Flow, kind: Kind) -> str | None:
    return None if stage is Stage.VERIFY else f"/api/v1/{kind}/{{{flow}_id}}/of.{{other_id}}"


@pytest.mark.parametrize(("stage", "method"), [(Stage.CREATE, "POST"), (Stage.SUBSCRIBE, "GET"), (Stage.POLL, "GET")])
def test_a_call_to_the_provider_tells_method_server_and_url_without_ids(stage: Stage, method: str) -> None:
    assert HttpCalls((PROVIDER,), _template).to_provider(GENERATION, stage) == {
        "http.request.method": method,
        "server.address": "provider.test",
        "server.port": 80,
        "url.template": "/api/v1/image/{file_id}/of.{other_id}",
        "url.full": "http://provider.test/api/v1/image/REDACTED/of.REDACTED",
    }


def test_a_provider_below_a_path_is_told_with_it() -> None:
    provider = ProviderSettings(name="superduperai", base_url="https://gateway.test:8443/ai", models=("m",))
    told = HttpCalls((provider,), _template).to_provider(GENERATION, Stage.POLL)
    assert (told["server.address"], told["server.port"]) == ("gateway.test", 8443)
    assert told["url.template"] == "/ai/api/v1/image/{file_id}/of.{other_id}"
    assert told["url.full"] == "https://gateway.test:8443/ai/api/v1/image/REDACTED/of.REDACTED"


def test_what_is_not_known_is_left_out() -> None:
    assert HttpCalls().to_provider(GENERATION, Stage.POLL) == {"http.request.method": "GET"}
    assert HttpCalls((PROVIDER,)).to_provider(like(provider="gone"), Stage.POLL) == {"http.request.method": "GET"}
    told = HttpCalls((PROVIDER,), _template).to_provider(GENERATION, Stage.VERIFY)
    assert told == {"http.request.method": "GET", "server.address": "provider.test", "server.port": 80}


@pytest.mark.parametrize(
    ("url", "server", "full"),
    [
        ("https://cdn.test/u/5b4f/a.webp?sig=s3cret#s3cret", ("cdn.test", 443), "https://cdn.test/REDACTED"),
        ("http://me:s3cret@cdn.test:81/s3cret", ("cdn.test", 81), "http://cdn.test:81/REDACTED"),
        ("https://[2001:db8::1]:444/s3cret", ("2001:db8::1", 444), "https://[2001:db8::1]:444/REDACTED"),
    ],
)
def test_of_an_asset_only_its_host_is_told(url: str, server: tuple[str, int], full: str) -> None:
    told = HttpCalls().to_asset(url)
    assert (told["server.address"], told["server.port"], told["url.full"]) == (*server, full)
    assert "s3cret" not in str(told)


@pytest.mark.parametrize(
    "url",
    ["", "data:image/png;base64,AAAA", "http://", "http://[::1", "http://a:99999/", "http://" + "a" * 300, "\x00"],
)
def test_an_asset_url_that_is_none_tells_nothing(url: str) -> None:
    assert HttpCalls().to_asset(url) == {"http.request.method": "GET"}
