"""The compose file passes every setting on, and limits every container as the manifests do."""

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from streetlight.service.config import PREFIX, SECRETS, Settings

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
# The variables of gunicorn that the documents name.
GUNICORN = {"GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS"}
# The host's values of these must not reach a container.
FIXED = {f"STREETLIGHT_{name}" for name in ("DATA_DIR", "HOST", "PORT", "TRAINER")}
# The trainer reads none of these, and must not know the key.
SERVER_ONLY = GUNICORN | {
    "STREETLIGHT_ALLOWED_HOSTS",
    "STREETLIGHT_API_KEY",
    "STREETLIGHT_API_KEY_FILE",
    "STREETLIGHT_HEALTH_ROUTE",
    "STREETLIGHT_MAX_BODY_BYTES",
    "STREETLIGHT_MAX_MULTIPLICATIONS",
    "STREETLIGHT_MAX_RESPONSE_BYTES",
    "STREETLIGHT_MODEL_NAME",
    "STREETLIGHT_PREDICT_ROUTE",
    "STREETLIGHT_WORKERS",
}


def passed_on(service: str) -> set[str]:
    """Return the variables of a service that have the host's value."""
    environment: dict[str, str | None] = COMPOSE[service]["environment"]
    return {name for name, value in environment.items() if value is None or value.startswith("${")}


def test_compose_passes_every_setting_on() -> None:
    everything = (SETTINGS | GUNICORN) - FIXED

    assert passed_on("server") == everything
    assert passed_on("trainer") == everything - SERVER_ONLY
    assert COMPOSE["server"]["environment"]["STREETLIGHT_TRAINER"] == "false"
    [port] = COMPOSE["server"]["ports"]
    assert port.endswith(f":{Settings.model_fields['port'].default}")
    for name in ("DATA_DIR", "HOST"):
        assert f"STREETLIGHT_{name}=" in (ROOT / "Dockerfile").read_text()


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
