"""Settings from a file and from variables, and what is said of those that are wrong."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.delivery.errors import SettingsInvalid
from monitor.delivery.policy import FIXED, Policy
from monitor.settings import Scope, Settings, hash_token, load_settings
from monitor.settings.loading import _SECTIONS

SECRET = "s3kr1t-of-nobody"
PROVIDER: Mapping[str, Any] = {"name": "superduperai", "base_url": "http://127.0.0.1:9100", "models": ["comfyui/flux"]}
TOKEN: Mapping[str, Any] = {"name": "app", "scopes": ["read"], "sha256": "0" * 64}
CANARY: Mapping[str, Any] = {"name": "fox", "prompt": "a fox", "interval": 60}
FILE = """
[server]
port = 8090
instance = "one"

[policies.quick]
grace = 2.0
interval = 2.0
max_attempts = 10
window = 30.0

[[providers]]
name = "superduperai"
base_url = "http://127.0.0.1:9100/api/v1/"
token_file = "secrets/superduperai"
models = ["comfyui/flux", "comfyui/video"]
policy = "quick"
model_policies = { "comfyui/video" = "fixed" }
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of this machine has a say."""
    for variable in os.environ:
        if variable.upper().startswith("MONITOR_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "superduperai").write_text(f"{SECRET}\n")
    path = tmp_path / "here.toml"
    path.write_text(FILE)
    return path


def load(**values: Any) -> Settings:
    return load_settings(overrides={"providers": [PROVIDER], **values})


def problems_of(**values: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        load(**values)
    return caught.value.problems


def problems_of_provider(**changes: Any) -> tuple[str, ...]:
    return problems_of(providers=[{**PROVIDER, **changes}])


def token_of(loaded: Settings) -> str | None:
    token = loaded.providers[0].token
    return token.get_secret_value() if token else None


class TestSources:
    def test_a_file_is_read_and_what_it_leaves_out_has_its_default(self, file: Path) -> None:
        loaded = load_settings(file)
        assert (loaded.server.port, loaded.server.instance, loaded.server.host) == (8090, "one", "127.0.0.1")
        assert loaded.store.url == "sqlite:///monitor.db"

    def test_monitor_toml_is_taken_when_it_is_there(self, file: Path) -> None:
        file.rename(file.with_name("monitor.toml"))
        assert load_settings().server.port == 8090

    def test_a_variable_may_name_the_file(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONITOR_CONFIG", str(file))
        assert load_settings().server.port == 8090

    def test_an_argument_wins_over_that(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONITOR_CONFIG", "/no/such/file")
        assert load_settings(file).server.port == 8090

    def test_a_variable_wins_over_the_file_and_leaves_the_rest_of_its_section(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MONITOR_SERVER__PORT", "8081")
        loaded = load_settings(file)
        assert (loaded.server.port, loaded.server.instance) == (8081, "one")

    def test_providers_may_come_as_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONITOR_PROVIDERS", json.dumps([PROVIDER]))
        assert load_settings().providers[0].models == ("comfyui/flux",)

    def test_a_policy_may_come_as_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONITOR_POLICIES__QUICK__GRACE", "1")
        assert load().policy("quick").grace_s == 1.0

    def test_other_peoples_variables_are_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("MONITOR_PORT", "MONITOR_SERVICE_HOST", "MONITOR_TOKEN", "MONITOR_SERVER_PORT"):
            monkeypatch.setenv(variable, "tcp://10.0.0.1:80")
        assert load().server.port == 8080

    def test_overrides_stand_in_for_the_files_sections(self, file: Path) -> None:
        assert load_settings(file, overrides={"server": {"port": 1}}).server.port == 1


class TestPolicies:
    def test_fixed_is_built_in_and_the_default(self) -> None:
        loaded = load()
        assert loaded.policy("fixed") is FIXED
        assert loaded.providers[0].policy_of("comfyui/flux") == "fixed"

    def test_a_named_policy_is_by_model_where_told(self, file: Path) -> None:
        loaded = load_settings(file)
        provider = loaded.provider("superduperai")
        assert provider is not None
        assert provider.policy_of("comfyui/flux") == "quick"
        assert provider.policy_of("comfyui/video") == "fixed"
        assert loaded.policy("quick") == Policy(
            name="quick", grace_s=2.0, interval_s=2.0, max_attempts=10, window_s=30.0
        )

    def test_a_provider_that_is_not_there_is_none(self) -> None:
        assert load().provider("nobody") is None

    def test_the_base_url_is_kept_without_the_api_path(self, file: Path) -> None:
        assert load_settings(file).providers[0].base_url == "http://127.0.0.1:9100"


class TestSecrets:
    def test_a_token_is_read_from_a_file_beside_the_settings(self, file: Path) -> None:
        loaded = load_settings(file)
        assert token_of(loaded) == SECRET
        assert loaded.providers[0].token_file is None

    def test_a_token_is_read_from_the_variable_that_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUPERDUPERAI_TOKEN", f" {SECRET}\n")
        assert token_of(load(providers=[{**PROVIDER, "token": "env:SUPERDUPERAI_TOKEN"}])) == SECRET

    def test_a_token_may_stand_in_the_settings(self) -> None:
        assert token_of(load(providers=[{**PROVIDER, "token": SECRET}])) == SECRET

    def test_none_is_fine(self) -> None:
        assert token_of(load()) is None

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_a_variable_that_is_missing_or_empty_is_a_problem(
        self, value: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if value is not None:
            monkeypatch.setenv("NO_TOKEN", value)
        assert problems_of_provider(token="env:NO_TOKEN") == (
            "providers.0.token: the variable NO_TOKEN is not set or empty",
        )

    def test_a_token_file_that_cannot_be_read_is_a_problem(self) -> None:
        (problem,) = problems_of_provider(token_file="no/such/file")
        assert problem.startswith("providers.0.token_file: cannot read no/such/file: ")

    def test_a_token_file_that_holds_nothing_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text(" \n")
        assert problems_of_provider(token_file="empty") == (
            "providers.0.token_file: empty holds nothing; it must hold the token",
        )

    def test_a_token_that_cannot_stand_in_a_header_is_a_problem_and_is_not_told(self) -> None:
        assert problems_of_provider(token=f"{SECRET}\nX-Evil: 1") == (
            "providers.0: the token has characters that cannot stand in a header",
        )

    def test_no_secret_is_in_the_repr(self) -> None:
        store = {"url": f"postgresql://monitor:{SECRET}@db/monitor"}
        loaded = load(providers=[{**PROVIDER, "token": SECRET}], store=store)
        assert SECRET not in repr(loaded) + str(loaded)
        assert loaded.store.url == store["url"]

    @pytest.mark.parametrize(
        "values",
        [
            {"providers": [{**PROVIDER, "token": [SECRET]}]},
            {"providers": [{**PROVIDER, "token": SECRET, "token_file": "x"}]},
            {"providers": [{**PROVIDER, "api_key": SECRET}]},
            {"providers": [{**PROVIDER, "base_url": f"http://user:{SECRET}@host"}]},
            {"providers": [{**PROVIDER, "base_url": f"ftp://user:{SECRET}@host"}]},
            {"providers": [{**PROVIDER, "base_url": f"http://host?key={SECRET}"}]},
            {"providers": [SECRET]},
            {"providers": SECRET},
            {"tokens": [{**TOKEN, "sha256": SECRET}]},
            {"tokens": [SECRET]},
            {"tokens": SECRET},
            {"store": {"url": f"mysql://user:{SECRET}@host/db"}},
            {"store": {"url": SECRET}},
            {"store": SECRET},
            {"tracing": {"endpoint": f"http://user:{SECRET}@host"}},
            {"password": SECRET},
            {"server": {"password": SECRET}},
        ],
        ids=lambda values: json.dumps(values)[:60],
    )
    def test_no_secret_is_in_a_problem(self, values: dict[str, Any]) -> None:
        assert SECRET not in " ".join(problems_of(**values))

    def test_nor_when_variables_are_no_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONITOR_PROVIDERS", f"[{{'token': '{SECRET}'")
        with pytest.raises(SettingsInvalid) as caught:
            load_settings()
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_origins_are_kept_as_browsers_write_them() -> None:
    written = ["https://App.Example/", "http://localhost:80", "https://x:8443", "http://[::1]:3000", "*"]
    kept = ("https://app.example", "http://localhost", "https://x:8443", "http://[::1]:3000", "*")
    assert load(reports={"allowed_origins": written}).reports.allowed_origins == kept


@pytest.mark.parametrize(
    "origin", ["null", "https://*.example", "https://u@a", "ftp://a", "https://a?b", "https://ä", ""]
)
def test_what_is_no_origin_is_a_problem(origin: str) -> None:
    (problem,) = problems_of(reports={"allowed_origins": [origin]})
    assert problem.startswith("reports.allowed_origins.0: an origin looks like")


class TestTokensInFiles:
    """A bearer token may be kept in a file that its user reads as well, so that nothing has to be written twice."""

    def test_what_the_file_holds_is_known_by_its_hash(self, tmp_path: Path) -> None:
        (token,) = self._loaded(tmp_path, f"{SECRET}\n").tokens
        assert (token.sha256, token.token_file) == (hash_token(SECRET), None)

    def test_it_lets_the_service_listen_anywhere(self, tmp_path: Path) -> None:
        assert not self._loaded(tmp_path, SECRET, server={"host": "0.0.0.0"}).is_loopback_only

    @pytest.mark.parametrize("held", ["", "\n", "too-short", f"{SECRET} {SECRET}", f"{SECRET}\n{SECRET}", "ä" * 20])
    def test_a_file_that_would_guard_nothing_is_a_problem_and_is_not_told(self, tmp_path: Path, held: str) -> None:
        with pytest.raises(SettingsInvalid) as caught:
            self._loaded(tmp_path, held)
        (problem,) = caught.value.problems
        assert problem.startswith("tokens.0.token_file: token must hold one token of 16 or more visible ASCII")
        assert SECRET not in problem

    def test_a_file_that_is_not_there_is_a_problem(self) -> None:
        (problem,) = problems_of(tokens=[{"name": "app", "scopes": ["read"], "token_file": "no/such/file"}])
        assert problem.startswith("tokens.0.token_file: cannot read no/such/file: ")

    @staticmethod
    def _loaded(folder: Path, held: str, **values: Any) -> Settings:
        (folder / "token").write_text(held, "utf-8")
        return load(tokens=[{"name": "app", "scopes": ["read"], "token_file": "token"}], **values)


class TestProblems:
    def test_a_canary_that_no_provider_can_be_asked_for_is_one(self) -> None:
        film = {**CANARY, "kind": "video", "flow": "project"}
        says = "canary.0.flow: a video is made in the file flow; the project flow makes images"
        assert problems_of(canary=[film]) == (says,)
        load(canary=[{**film, "flow": "file"}, {**CANARY, "name": "image", "flow": "project"}])

    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            (
                {"server": {"port": "x"}},
                "server.port: Input should be a valid integer, unable to parse string as an integer; found 'x'",
            ),
            ({"server": {"port": 70_000}}, "server.port: Input should be less than or equal to 65535; found 70000"),
            (
                {"server": {"instance": "No Way"}},
                "server.instance: a name has 1 to 40 of a-z, 0-9, '_' and '-', and begins with a letter; found "
                "'No Way'",
            ),
            ({"server": {"shutdown_grace": 0}}, "server.shutdown_grace: Input should be greater than 0; found 0"),
            (
                {"server": {"shutdown_grace": float("inf")}},
                "server.shutdown_grace: Input should be a finite number; found inf",
            ),
            (
                {"server": {"prot": 1}},
                "server.prot: there is no such key; allowed here: host, port, instance, max_in_flight, "
                "max_body_bytes, max_prompt_chars, shutdown_grace",
            ),
            (
                {"nonsense": 1},
                "nonsense: there is no such key; allowed here: server, store, tracing, logging, reports, "
                "tokens, policies, providers, canaries, canary",
            ),
            (
                {"logging": {"format": "xml"}},
                "logging.format: Input should be 'auto', 'console' or 'json'; found 'xml'",
            ),
            (
                {"tracing": {"sample_ratio": 2}},
                "tracing.sample_ratio: Input should be less than or equal to 1; found 2",
            ),
            (
                {"tracing": {"endpoint": "collector:4318"}},
                "tracing.endpoint: a base URL looks like https://host or http://host:port; found 'collector:4318'",
            ),
            (
                {"tokens": [{**TOKEN, "scopes": ["reed"]}]},
                "tokens.0.scopes.0: Input should be 'read', 'generate', 'report' or 'admin'; found 'reed'",
            ),
            ({"tokens": [{**TOKEN, "sha256": "ABC"}]}, "tokens.0.sha256: String should match pattern '^[0-9a-f]{64}$'"),
            ({"tokens": [TOKEN, TOKEN]}, "tokens: 'app' is there twice"),
            ({"tokens": [{**TOKEN, "token_file": "x"}]}, "tokens.0: give sha256 or token_file, one of them"),
            ({"tokens": [{**TOKEN, "sha256": None}]}, "tokens.0: give sha256 or token_file, one of them"),
            (
                {"policies": {"Q Q": {}}},
                "policies.Q Q.[key]: a name has 1 to 40 of a-z, 0-9, '_' and '-', and begins with a letter; "
                "found 'Q Q'",
            ),
            (
                {"reports": {"allowed_origins": ["https://app.example/page"]}},
                "reports.allowed_origins.0: an origin looks like https://app.example or http://localhost:3000; "
                "\"*\" stands for all; found 'https://app.example/page'",
            ),
            ({"reports": {"allowed_origins": "https://app.example"}}, "reports.allowed_origins: must be a list"),
            ({"policies": {"q": {"interval": 0}}}, "policies.q.interval: Input should be greater than 0; found 0"),
            (
                {"policies": {"q": {"grase": 1}}},
                "policies.q.grase: there is no such key; allowed here: grace, interval, max_attempts, window, "
                "early_fallback, check_on_open",
            ),
            ({"policies": {"q": {"grace": 100}}}, "policies.q: grace (100.0 s) must be shorter than window (75.0 s)"),
            ({"policies": {"fixed": {}}}, "policies.fixed: this policy is built in; choose another name"),
            ({"providers": [PROVIDER, PROVIDER]}, "providers: 'superduperai' is there twice"),
            (
                {"providers": {}},
                "providers: must be a list ([[providers]] in the file, MONITOR_PROVIDERS='[{…}]' as a variable)",
            ),
        ],
    )
    def test_it_names_the_key_what_was_found_and_what_is_allowed(self, values: dict[str, Any], problem: str) -> None:
        assert problems_of(**values) == (problem,)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"kind": "other"}, "providers.0.kind: Input should be 'superduperai'; found 'other'"),
            (
                {"base_url": "host"},
                "providers.0.base_url: a base URL looks like https://host or http://host:port; found 'host'",
            ),
            ({"base_url": "http://h:99999"}, "providers.0.base_url: Port out of range 0-65535; found 'http://h:99999'"),
            ({"base_url": "http://[::1"}, "providers.0.base_url: Invalid IPv6 URL; found 'http://[::1'"),
            (
                {"base_url": "http://h/?a=b"},
                "providers.0.base_url: a base URL has no user, password, query or fragment; the token has a key "
                "of its own",
            ),
            ({"models": []}, "providers.0.models: there must be at least 1; found 0"),
            ({"models": ["a", "a"]}, "providers.0: models: 'a' is there twice"),
            ({"token": ""}, "providers.0.token: is empty; leave it out where the provider asks for none"),
            ({"models": ["other"]}, "providers.0: models: 'other' is what metrics call every model that is not listed"),
            ({"model_policies": {"x": "fixed"}}, "providers.0: model_policies: 'x' is not in models"),
            ({"policy": "quick"}, "providers.0: no policy is named 'quick'; there are: fixed"),
            ({"model_policies": {"comfyui/flux": "slow"}}, "providers.0: no policy is named 'slow'; there are: fixed"),
            ({"objective": 1}, "providers.0.objective: Input should be less than 1; found 1"),
            ({"token": "a", "token_file": "b"}, "providers.0: give token or token_file, not both"),
        ],
    )
    def test_that_of_a_provider_too(self, changes: dict[str, Any], problem: str) -> None:
        assert problems_of_provider(**changes) == (problem,)

    def test_everything_wrong_is_told_at_once(self) -> None:
        assert len(problems_of(server={"port": -1, "host": 5}, logging={"level": "loud"}, nonsense=1)) == 4

    @pytest.mark.parametrize("values", [{"providers": []}, {}])
    def test_no_provider_is_told_with_what_to_do(self, values: dict[str, Any]) -> None:
        with pytest.raises(SettingsInvalid) as caught:
            load_settings(overrides=values)
        (problem,) = caught.value.problems
        assert problem.startswith("providers: there is none; add a [[providers]] table")
        assert "MONITOR_PROVIDERS" in problem

    @pytest.mark.parametrize(
        ("variable", "value", "problem"),
        [
            (
                "MONITOR_PROVIDERS",
                "nonsense",
                "MONITOR_PROVIDERS: not valid JSON; it must hold the whole of 'providers' as JSON",
            ),
            ("MONITOR_SERVER", "", "MONITOR_SERVER: not valid JSON; it must hold the whole of 'server' as JSON"),
            (
                "MONITOR_SERVR__PORT",
                "1",
                "MONITOR_SERVR__PORT: there is no section 'servr'; there are: server, store, tracing, logging, "
                "reports, tokens, policies, providers, canaries, canary",
            ),
            (
                "MONITOR_SERVER__PROT",
                "1",
                "server.prot: there is no such key; allowed here: host, port, instance, max_in_flight, "
                "max_body_bytes, max_prompt_chars, shutdown_grace",
            ),
            (
                "MONITOR_SERVER__PORT",
                "",
                "server.port: Input should be a valid integer, unable to parse string as an integer; found ''",
            ),
        ],
    )
    def test_a_variable_is_told_as_well(
        self, variable: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, value)
        assert problems_of() == (problem,)

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("mysql://h/d", "is no database that is known; write sqlite:///FILE or postgresql://"),
            ("sqlite", "is no database that is known; write sqlite:///FILE"),
            ("sqlite://", "is no database that is known; write sqlite:///FILE"),
            ("sqlite://monitor.db", "has two slashes, and a file needs three: sqlite:///FILE"),
            ("sqlite:///", "names no file, and records are to outlive the service; write sqlite:///FILE"),
            ("sqlite:///:memory:", "names no file, and records are to outlive the service"),
            ("sqlite:///a\0b", "names a file that cannot be"),
            ("sqlite:///a.db?mode=ro", "has options that are not known: mode; allowed: none"),
            ("sqlite:///.", ". is a folder; sqlite:///FILE must name a file"),
            ("sqlite:///no/such/monitor.db", "there is no folder "),
            ("postgresql://u:s3kr1t@h:99999/d", "has a port that cannot be, 99999; 1 to 65535 are allowed"),
            ("postgresql://u:s3kr1t@h:abc/d", "is no address of a database; is its port a number?"),
            ("postgresql://u:s3kr1t@h/d?port=0", "has a port that cannot be, 0; 1 to 65535 are allowed"),
            ("postgresql://u:s3kr1t@h/d?sslmode=on", "has an ssl mode that is not known; allowed: disable, allow,"),
            ("postgresql://u:s3kr1t@h/d?a=1", "has options that are not known: a; allowed: host, password, port,"),
        ],
    )
    def test_a_store_that_cannot_be_is_told_without_its_password(self, url: str, problem: str) -> None:
        (told,) = problems_of(store={"url": url})
        assert told.startswith(f"store.url: {problem}")
        assert "s3kr1t" not in told

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite:///monitor.db",
            "sqlite:////tmp/monitor.db",
            "postgresql://h/d",
            "postgresql://u:p@[::1]:5433/d?sslmode=require",
            "postgresql:///d?host=/run/postgresql",
        ],
    )
    def test_a_store_that_can_be_is_taken(self, url: str) -> None:
        assert load(store={"url": url}).store.url == url

    @pytest.mark.parametrize("host", ["x y", "[::1]", "127.0.0.1:80", "", "a" * 64, ".".join(["a" * 63] * 5)])
    def test_a_host_that_cannot_be_is_a_problem(self, host: str) -> None:
        (problem,) = problems_of(server={"host": host}, tokens=[TOKEN])
        assert problem.startswith("server.host: a host is an address, as 127.0.0.1 or ::1, or a name")

    @pytest.mark.parametrize("host", ["a" * 64, "a b", "a..b", "-a", "ä.example", "%zz", "h/ä"])
    def test_a_base_url_that_no_connection_could_be_made_to_is_a_problem(self, host: str) -> None:
        (problem,) = problems_of_provider(base_url=f"http://{host}")
        assert problem.startswith("providers.0.base_url: a base URL has a host whose labels have 1 to 63 of")
        assert problem.endswith(f"found 'http://{host}'")

    @pytest.mark.parametrize("url", ["http://[::1]:9100", "https://a_b.example.", "http://10.0.0.1", "http://x/y%20z"])
    def test_a_base_url_that_can_be_is_taken(self, url: str) -> None:
        assert load(providers=[{**PROVIDER, "base_url": url}]).providers[0].base_url == url

    @pytest.mark.parametrize("model", ["", " ", "a ", "a\0", "a\nb", "a" * 201])
    def test_a_model_without_a_proper_name_is_a_problem(self, model: str) -> None:
        (problem,) = problems_of_provider(models=[model])
        assert problem.startswith("providers.0.models.0: ")

    def test_a_file_that_is_a_folder_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(SettingsInvalid, match=r"cannot be read: Is a directory"):
            load_settings(tmp_path)
        monkeypatch.setenv("MONITOR_CONFIG", str(tmp_path))
        with pytest.raises(SettingsInvalid, match=r"cannot be read: Is a directory"):
            load_settings()

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match=r"no-such\.toml: no such file"):
            load_settings(tmp_path / "no-such.toml")

    @pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"a = 1\na = 2"])
    def test_a_file_that_is_no_toml_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "bad.toml"
        path.write_bytes(content)
        with pytest.raises(SettingsInvalid, match=r"bad\.toml: not valid TOML"):
            load_settings(path)

    def test_every_section_has_its_keys_told(self) -> None:
        assert list(_SECTIONS) == list(Settings.model_fields)


class TestLoopback:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_without_a_token_it_may_listen_on_loopback(self, host: str) -> None:
        assert load(server={"host": host}).is_loopback_only

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "127.0.0.1.example.org"])
    def test_elsewhere_it_says_how_to_make_one(self, host: str) -> None:
        (problem,) = problems_of(server={"host": host})
        assert problem.startswith(f"server.host: {host} can be reached from other machines, and no token is set")
        assert "monitor token" in problem

    def test_with_a_token_it_may_listen_anywhere(self) -> None:
        loaded = load(server={"host": "0.0.0.0"}, tokens=[TOKEN])
        assert not loaded.is_loopback_only
        assert loaded.tokens[0].scopes == {Scope.READ}


_SECONDS = st.floats(0.001, 86_400.0)
_POLICY = st.fixed_dictionaries(
    {},
    optional={
        "grace": st.floats(0.0, 10.0),
        "interval": _SECONDS,
        "max_attempts": st.integers(0, 1_000),
        "window": st.floats(10.5, 86_400.0),
        "early_fallback": st.booleans(),
        "check_on_open": st.booleans(),
    },
)
_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "server": st.fixed_dictionaries(
            {},
            optional={
                "port": st.integers(0, 65_535),
                "max_in_flight": st.integers(1, 100_000),
                "shutdown_grace": _SECONDS,
            },
        ),
        "tracing": st.fixed_dictionaries({}, optional={"sample_ratio": st.floats(0.0, 1.0), "slow": _SECONDS}),
        "logging": st.fixed_dictionaries(
            {}, optional={"level": st.sampled_from(["debug", "info", "warning", "error"])}
        ),
        "policies": st.dictionaries(
            st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True).filter(lambda name: name != "fixed"),
            _POLICY,
            max_size=3,
        ),
    },
)


@settings(max_examples=100)
@given(values=_VALUES)
def test_what_is_read_from_a_file_is_what_was_written(values: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "drawn.toml"
        file.write_text(render_toml({**values, "providers": [dict(PROVIDER)]}))
        from_file = load_settings(file)
    assert from_file == load_settings(overrides={**values, "providers": [PROVIDER]})
    for section, keys in values.items():
        dumped = from_file.model_dump()[section]
        if section == "policies":
            assert {name: {key: dumped[name][key] for key in policy} for name, policy in keys.items()} == keys
        else:
            assert {key: dumped[key] for key in keys} == keys


def render_toml(values: Mapping[str, Any]) -> str:
    """TOML of tables of scalars, of tables of those, and of lists of tables: JSON's scalars are TOML's."""
    lines: list[str] = []
    for section, content in values.items():
        tables = content if isinstance(content, list) else [content]
        for table in tables:
            lines.append(f"[[{section}]]" if isinstance(content, list) else f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
            for name, inner in table.items():
                if isinstance(inner, dict):
                    lines.append(f"[{section}.{name}]")
                    lines += [f"{key} = {json.dumps(value)}" for key, value in inner.items()]
    return "\n".join(lines)
