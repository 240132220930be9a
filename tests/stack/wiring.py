"""What the files of the stack say of each other must agree: addresses, paths inside containers, names, intervals."""

import fnmatch
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from alerts.names import SLO_WINDOW
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry.catalog import ExemplarLabel
from tests.stack.files import StackFiles, environment, host_and_port, instructions

JOB: Final = "monitor"
"""What dashboards and alert rules call the service's scrapes."""
UIDS: Final = {"prometheus", "jaeger", "alertmanager"}
"""What dashboards call the datasources."""
CONFIG_FLAGS: Final = {"prometheus": "--config.file", "alertmanager": "--config.file", "jaeger": "--config"}
STORAGE_FLAGS: Final = {"prometheus": "--storage.tsdb.path", "alertmanager": "--storage.path"}
HOME: Final = "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"


def wiring_problems(files: StackFiles) -> list[str]:
    """All that is wrong, sorted."""
    rules = (_configs, _storage, _addresses, _health_ports, _prometheus, _monitor, _image, _grafana, _jaeger, _demo)
    return sorted(problem for rule in rules for problem in rule(files))


def listening(files: StackFiles) -> set[tuple[str, int]]:
    """Where somebody listens: the ports published, and those that only other containers use."""
    published = {(name, port) for name in files.services for port in files.published(name)}
    jaeger = files.jaeger
    readers = jaeger["service"]["telemetry"]["metrics"]["readers"]
    metrics = {("jaeger", reader["pull"]["exporter"]["prometheus"]["port"]) for reader in readers}
    protocols = jaeger["receivers"]["otlp"]["protocols"].values()
    return published | metrics | {("jaeger", host_and_port(protocol["endpoint"])[1]) for protocol in protocols}


def addresses(files: StackFiles) -> Iterator[tuple[str, str]]:
    """Every address of another service that a file names, after where it is named."""
    yield "deploy/monitor.toml, tracing", files.monitor["tracing"]["endpoint"]
    alertmanagers = files.prometheus["alerting"]["alertmanagers"]
    for name, targets in [
        *((f"job {job['job_name']}", job["static_configs"]) for job in files.prometheus["scrape_configs"]),
        *(("alerting", item["static_configs"]) for item in alertmanagers),
    ]:
        yield from ((f"prometheus.yml, {name}", target) for config in targets for target in config["targets"])
    yield from ((f"datasources.yaml, {item['uid']}", item["url"]) for item in files.datasources["datasources"])
    yield "docker-compose.yml, visitor", str(environment(files, "visitor")["MONITOR_URL"])
    (provider,) = json.loads(files.demo["MONITOR_PROVIDERS"])
    yield "demo.env, base_url", provider["base_url"]


def _addresses(files: StackFiles) -> Iterator[str]:
    known = listening(files)
    for where, address in addresses(files):
        if host_and_port(address) not in known:
            yield f"{where}: nobody listens at {address}"


def _configs(files: StackFiles) -> Iterator[str]:
    for service, flag in CONFIG_FLAGS.items():
        path = files.flags(service).get(flag, "")
        source = files.source_of(service, path)
        if source is None or not source.is_file():
            yield f"{service}: reads {path!r}, where no file is mounted"


def _storage(files: StackFiles) -> Iterator[str]:
    for service, flag in STORAGE_FLAGS.items():
        if PurePosixPath(files.flags(service).get(flag, "")) not in files.kept_folders(service):
            yield f"{service}: {flag} is on no volume"


def _health_ports(files: StackFiles) -> Iterator[str]:
    """A health check asks its own container, where somebody listens."""
    inside = ("jaeger", host_and_port(files.jaeger["extensions"]["healthcheckv2"]["http"]["endpoint"])[1])
    known = {*listening(files), inside}
    for name, service in files.services.items():
        asked = re.findall(r"127\.0\.0\.1(?::|', )(\d+)", " ".join(service["healthcheck"].get("test", [])))
        for port in asked:
            if (name, int(port)) not in known:
                yield f"{name}: its health check asks port {port}, where it does not listen"


def _prometheus(files: StackFiles) -> Iterator[str]:
    for pattern in files.prometheus["rule_files"]:
        folder, glob = PurePosixPath(pattern).parent, PurePosixPath(pattern).name
        source = files.source_of("prometheus", str(folder))
        if source is None or not any(fnmatch.fnmatch(file.name, glob) for file in source.glob("*")):
            yield f"prometheus.yml: {pattern} matches no file that is mounted"
    jobs = {job["job_name"]: job for job in files.prometheus["scrape_configs"]}
    if JOB not in jobs:
        yield f"prometheus.yml: there is no job {JOB!r}"
        return
    token = jobs[JOB].get("authorization", {}).get("credentials_file")
    readers = {item["token_file"] for item in files.monitor["tokens"] if "read" in item["scopes"]}
    if token not in files.secret_paths("prometheus") or token not in readers:
        yield f"prometheus.yml: {token!r} is no secret of Prometheus that the service lets read"
    if _days(files.flags("prometheus")["--storage.tsdb.retention.time"]) <= _days(SLO_WINDOW):
        yield f"prometheus: does not keep what the objective looks back on, {SLO_WINDOW}"
    if "exemplar-storage" not in files.flags("prometheus").get("--enable-feature", ""):
        yield "prometheus: does not store exemplars"
    runbooks = files.source_of("prometheus", files.flags("prometheus")["--web.user-assets"])
    if runbooks is None or not runbooks.is_dir():
        yield "prometheus: serves runbooks from where none are mounted"
    for service in ("prometheus", "alertmanager"):
        url = files.flags(service)["--web.external-url"]
        if host_and_port(url) != ("127.0.0.1", *files.published(service).values()):
            yield f"{service}: links to itself at {url}, where it is not published"


def _days(duration: str) -> int:
    return int(duration.removesuffix("d"))


def _monitor(files: StackFiles) -> Iterator[str]:
    named = [item["token_file"] for key in ("tokens", "providers") for item in files.monitor[key]]
    if set(named) != files.secret_paths("monitor"):
        yield f"monitor.toml: token files {named} are not the secrets of the service"
    database = PurePosixPath(files.monitor["store"]["url"].removeprefix("sqlite:///"))
    if database.parent not in files.kept_folders("monitor"):
        yield f"monitor.toml: {database} is on no volume"
    if files.monitor["server"]["port"] not in files.published("monitor"):
        yield f"monitor.toml: port {files.monitor['server']['port']} is not published"


def _image(files: StackFiles) -> Iterator[str]:
    """What the image says of itself and what the stack makes of it."""
    port = str(files.monitor["server"]["port"])
    (exposed,) = instructions(files.dockerfile, "EXPOSE")
    (check,) = instructions(files.dockerfile, "HEALTHCHECK")
    if exposed != port or f"'127.0.0.1', {port}," not in check:
        yield f"Dockerfile: EXPOSE and HEALTHCHECK do not say {port}"
    (variables,) = (text for text in instructions(files.dockerfile, "ENV") if "MONITOR_CONFIG=" in text)
    config = variables.partition("MONITOR_CONFIG=")[2].split()[0]
    source = files.source_of("monitor", config)
    if source is None or not source.is_file():
        yield f"Dockerfile: the service reads {config}, where no file is mounted"
    (user,) = instructions(files.dockerfile, "USER")
    if user != files.services["monitor"]["user"]:
        yield f"Dockerfile: the user is {user}, in the compose file {files.services['monitor']['user']}"
    (folder,) = (text for text in instructions(files.dockerfile, "WORKDIR") if text.startswith("/var"))
    if PurePosixPath(folder) not in files.kept_folders("monitor"):
        yield f"Dockerfile: {folder} is on no volume"


def _grafana(files: StackFiles) -> Iterator[str]:
    sources = {item["uid"]: item for item in files.datasources["datasources"]}
    if set(sources) != UIDS:
        yield f"datasources.yaml: the uids are {sorted(sources)}, not {sorted(UIDS)}"
        return
    how = sources["prometheus"]["jsonData"]
    if how["timeInterval"] != files.prometheus["global"]["scrape_interval"]:
        yield f"datasources.yaml: timeInterval is {how['timeInterval']}, which is not how often Prometheus scrapes"
    links = how["exemplarTraceIdDestinations"]
    if {link["name"] for link in links} != set(ExemplarLabel):
        yield f"datasources.yaml: exemplars have {sorted(ExemplarLabel)}, and some lead nowhere"
    for url in (link["url"] for link in links if "url" in link):
        if host_and_port(url.partition("/generations/")[0]) != ("127.0.0.1", *files.published("monitor").values()):
            yield f"datasources.yaml: a link leads to {url}, where the service is not published"
    linked = {link["datasourceUid"] for link in links if "url" not in link} | {how["alertmanagerUid"]}
    yield from (f"datasources.yaml: a link leads to {uid!r}" for uid in sorted(linked - UIDS))
    for path in (*(item["options"]["path"] for item in files.dashboards["providers"]), _home(files)):
        source = files.source_of("grafana", path)
        if source is None or not source.exists():
            yield f"grafana: reads {path}, where nothing is mounted"
    password = environment(files, "grafana").get("GF_SECURITY_ADMIN_PASSWORD__FILE")
    if password not in files.secret_paths("grafana"):
        yield f"grafana: {password!r} is no secret of Grafana"


def _home(files: StackFiles) -> str:
    return str(environment(files, "grafana").get(HOME))


def _jaeger(files: StackFiles) -> Iterator[str]:
    extensions, pipeline = files.jaeger["extensions"], files.jaeger["service"]["pipelines"]["traces"]
    if set(files.jaeger["service"]["extensions"]) != set(extensions):
        yield "jaeger.yaml: extensions are set up and not used, or used and not set up"
    for kind in ("receivers", "processors", "exporters"):
        if set(pipeline[kind]) != set(files.jaeger[kind]):
            yield f"jaeger.yaml: {kind} are set up and not used, or used and not set up"
    stores = extensions["jaeger_storage"]["backends"]
    used = {
        extensions["jaeger_query"]["storage"]["traces"],
        files.jaeger["exporters"]["jaeger_storage_exporter"]["trace_storage"],
    }
    if used != set(stores):
        yield f"jaeger.yaml: written to and read from {sorted(used)}; there are {sorted(stores)}"
    for store in stores.values():
        for path in store["badger"]["directories"].values():
            if not any(PurePosixPath(path).is_relative_to(folder) for folder in files.kept_folders("jaeger")):
                yield f"jaeger.yaml: {path} is on no volume"
    host, port = host_and_port(extensions["jaeger_query"]["http"]["endpoint"])
    if host != "0.0.0.0" or port not in files.published("jaeger"):
        yield f"jaeger.yaml: the page listens on {host}:{port}, which is not what is published"


def _demo(files: StackFiles) -> Iterator[str]:
    profiles = {profile for service in files.services.values() for profile in service.get("profiles", [])}
    if {files.demo["COMPOSE_PROFILES"]} != profiles:
        yield f"demo.env: profile {files.demo['COMPOSE_PROFILES']!r}; there are {sorted(profiles)}"
    for name in sorted(set(files.demo) - {"COMPOSE_PROFILES"} - set(environment(files, "monitor"))):
        yield f"demo.env: the service is not given {name}"
    (provider,) = json.loads(files.demo["MONITOR_PROVIDERS"])
    if provider["token"] != SimulatorConfig().token:
        yield "demo.env: the token is not the one that the simulated provider asks for"
    if int(files.flags("simulator")["--port"]) not in files.published("simulator"):
        yield "docker-compose.yml: the simulated provider listens elsewhere than is published"
