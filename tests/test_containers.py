"""The compose files pass all settings on, and limit all containers as the manifests do."""

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.config.sources import SECRETS
from tests.service.web.test_auth import CHANGES_STATE, RIGHTS

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
BASE = ROOT / "deploy" / "kubernetes" / "base"
PODS = {
    name: yaml.safe_load((BASE / f"{name}.yaml").read_text())["spec"]["template"]["spec"]
    for name in ("server", "trainer", "pod")
}
CONTAINERS = {name: PODS[name]["containers"][0] for name in ("server", "trainer")}

SETTINGS = {
    PREFIX + name.upper() for name in (*Settings.model_fields, *(f"{s}_file" for s in SECRETS))
}
# The variable of gunicorn that the documents name.
GUNICORN = {"GUNICORN_CMD_ARGS"}
# Those of OpenTelemetry.
OTEL = {f"OTEL_{name}" for name in ("EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_HEADERS")}
OTEL |= {f"OTEL_{name}" for name in ("RESOURCE_ATTRIBUTES", "TRACES_SAMPLER", "TRACES_SAMPLER_ARG")}
# The host's values of these must not reach a container.
FIXED = {f"STREETLIGHT_{name}" for name in ("DATA_DIR", "HOST", "PORT", "TRAINER")}
# The trainer reads none of these, and must not know the key.
SERVER_ONLY = GUNICORN | {
    "STREETLIGHT_ALLOWED_HOSTS",
    "STREETLIGHT_API_KEY",
    "STREETLIGHT_API_KEY_FILE",
    "STREETLIGHT_API_KEYS_FILE",
    "STREETLIGHT_GUARD",
    "STREETLIGHT_CORS_ORIGINS",
    "STREETLIGHT_HEALTH_ROUTE",
    "STREETLIGHT_MAX_BODY_BYTES",
    "STREETLIGHT_MAX_MULTIPLICATIONS",
    "STREETLIGHT_MAX_RESPONSE_BYTES",
    "STREETLIGHT_MODEL_NAME",
    "STREETLIGHT_PREDICT_ROUTE",
    "STREETLIGHT_TRUSTED_PROXIES",
    "STREETLIGHT_WEBHOOK_PRIVATE",
    "STREETLIGHT_WEBHOOK_SECRET",
    "STREETLIGHT_WEBHOOK_SECRET_FILE",
    "STREETLIGHT_WEBHOOK_URL",
    "STREETLIGHT_WORKERS",
}


def passed_on(service: str) -> set[str]:
    """Return the variables of a service that have the host's value."""
    environment: dict[str, str | None] = COMPOSE[service]["environment"]
    return {name for name, value in environment.items() if value is None or value.startswith("${")}


def test_compose_passes_every_setting_on() -> None:
    everything = (SETTINGS | GUNICORN | OTEL) - FIXED

    assert passed_on("server") == everything
    assert passed_on("trainer") == everything - SERVER_ONLY
    assert COMPOSE["server"]["environment"]["STREETLIGHT_TRAINER"] == "false"
    [port] = COMPOSE["server"]["ports"]
    assert port.endswith(f":{Settings.model_fields['port'].default}")
    for name in ("DATA_DIR", "HOST"):
        assert f"STREETLIGHT_{name}=" in (ROOT / "Dockerfile").read_text()


class ComposeLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads a compose file whose values replace those of another one: `!override`, `!reset`."""


for tag in ("!override", "!reset"):
    ComposeLoader.add_constructor(
        tag,
        lambda loader, node: (
            loader.construct_mapping(node, deep=True)
            if isinstance(node, yaml.MappingNode)
            else loader.construct_sequence(node)
        ),
    )

MANY = ROOT / "deploy" / "compose"


def test_many_servers_differ_from_one_in_the_database_and_the_volumes_only() -> None:
    services = yaml.load((MANY / "compose.yml").read_text(), ComposeLoader)["services"]  # noqa: S506 - a safe loader

    for name in ("server", "trainer"):
        service = services.pop(name)
        assert service["extends"] == {"file": "../../docker-compose.yml", "service": name}
        assert set(service["environment"]) <= SETTINGS
        assert set(service["environment"].values()) <= {
            f"/run/secrets/{secret}" for secret in service["secrets"]
        }
        assert service["volumes"] == [COMPOSE[name]["volumes"][0].partition(":")[2]]
        assert not {"image", "read_only", "cap_drop", "security_opt", "mem_limit"} & service.keys()
    for name, service in services.items():
        dockerfile = (MANY / service["build"] / "Dockerfile").read_text()
        assert re.findall("^USER (.*)$", dockerfile, re.MULTILINE)[-1] != "0:0", name
        for key in ("init", "restart", "read_only", "cap_drop", "security_opt", "logging"):
            assert service[key] == COMPOSE["server"][key], (name, key)
        assert {"mem_limit", "pids_limit"} <= service.keys()


def test_haproxy_repeats_only_requests_that_change_nothing() -> None:
    configuration = (MANY / "haproxy" / "haproxy.cfg").read_text()
    [suffixes] = re.findall(r"acl reads path_end (.*)", configuration)

    reads = {route for route in RIGHTS["read"] | RIGHTS["predict"] if route.startswith("POST")}
    repeated = {route for route in reads if route.endswith(tuple(suffixes.split()))}

    assert not any(route.endswith(tuple(suffixes.split())) for route in CHANGES_STATE)
    # The others train a network, or list the versions.
    others = {"/fit", "/pressure", "/step", "/v2/repository/index"}
    assert reads - repeated == {f"POST {path}" for path in others}


def test_a_build_argument_sets_each_label_of_the_revision() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    documented = (ROOT / "docs" / "deploy.md").read_text()
    for name in ("VERSION", "REVISION", "CREATED", "SOURCE"):
        assert f"ARG {name}=\n" in dockerfile
        assert f'image.{name.lower()}="${{{name}}}"' in dockerfile
        assert f"--build-arg {name}=" in documented


@pytest.mark.parametrize("name", ["server", "trainer"])
def test_a_container_is_limited_in_both_files(name: str) -> None:
    service, container = COMPOSE[name], CONTAINERS[name]

    assert (
        f"{container['resources']['limits']['memory']}".removesuffix("i").lower()
        == service["mem_limit"]
    )
    assert container["resources"]["limits"].get("cpu") == (
        str(service["cpus"]) if "cpus" in service else None
    )
    assert service["pids_limit"] <= 128
    assert service["logging"] == {"driver": "local"}
    assert service["tmpfs"].endswith(":size=64m")
    [tmp] = [volume for volume in PODS["pod"]["volumes"] if volume["name"] == "tmp"]
    assert tmp["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}
    assert service["read_only"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert service["cap_drop"] == container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_both_files_run_and_check_the_same_processes() -> None:
    trainer, server = CONTAINERS["trainer"], CONTAINERS["server"]
    kind, check = COMPOSE["trainer"]["healthcheck"]["test"]

    assert trainer["args"] == COMPOSE["trainer"]["command"]
    assert kind == "CMD-SHELL"
    for probe in ("startupProbe", "livenessProbe"):
        assert trainer[probe]["exec"]["command"] == ["sh", "-c", check.replace("$$", "$")]
        assert trainer[probe]["timeoutSeconds"] >= 5  # the default is one second
    assert server["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert server["readinessProbe"]["httpGet"]["path"] == "/readyz"
    [*_, pause] = server["lifecycle"]["preStop"]["exec"]["command"]
    seconds = PODS["server"]["terminationGracePeriodSeconds"] - int(pause)
    assert f"{seconds}s" == COMPOSE["server"]["stop_grace_period"]


def test_the_file_of_the_keys_is_in_a_folder_that_is_mounted() -> None:
    """Docker mounts a single file by its inode, so that a renamed one would stay unseen."""
    [server] = yaml.safe_load((ROOT / "deploy" / "compose-keys.yml").read_text())[
        "services"
    ].values()
    [volume] = server["volumes"]
    file = Path(server["environment"]["STREETLIGHT_API_KEYS_FILE"])
    assert volume == f"./keys:{file.parent}:ro"
