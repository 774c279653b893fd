"""The manifests of deploy/kubernetes, rendered with kubectl: real processes run as they say.

`.ci/kubernetes` validates the same objects against the schemas of Kubernetes. No cluster is used.
"""

import base64
import functools
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]

from streetlight.service.cli import main
from streetlight.service.config.settings import PREFIX, Settings
from tests import databases
from tests.client import invoke
from tests.server import (
    DEADLINE,
    STREETLIGHT,
    Fork,
    ForkedServer,
    Server,
    environment,
    streetlight,
)
from tests.tables import ALERTS
from tests.test_containers import SETTINGS

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
SERVING = ["kserve", "postgresql", "sqlite"]
# Overlays whose database this environment has.
STARTED = [name for name in SERVING if name == "sqlite" or databases.POSTGRESQL]

Object = dict[str, Any]

needs_postgresql = pytest.mark.skipif(not databases.POSTGRESQL, reason=databases.LEFT_OUT)

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl isn't installed"),
]


@functools.cache
def render(folder: Path) -> list[Object]:
    run = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


def overlay(name: str) -> list[Object]:
    return render(KUBERNETES / "overlays" / name)


def pods(objects: list[Object]) -> Iterator[Object]:
    """Yield a pod, with its labels, for each object that makes pods."""
    for thing in objects:
        if thing["kind"] in ("Deployment", "Job"):
            yield thing["spec"]["template"]
        elif thing["kind"] == "InferenceService":  # KServe gives its labels to the pods
            yield {"metadata": thing["metadata"], "spec": thing["spec"]["predictor"]}


def containers(objects: list[Object]) -> Iterator[Object]:
    for pod in pods(objects):
        yield from pod["spec"]["containers"]


def find(objects: list[Object], kind: str, name: str) -> Object:
    [found] = [it for it in objects if it["kind"] == kind and it["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("name", SERVING)
def test_what_an_object_names_exists(name: str) -> None:
    check_references(overlay(name))


def check_references(objects: list[Object]) -> None:
    labels = [pod["metadata"]["labels"].items() for pod in pods(objects)]
    for thing in objects:
        spec = thing.get("spec", {})
        for selector in (spec.get("selector"), spec.get("podSelector")):
            wanted = (selector or {}).get("matchLabels", selector) or {}
            assert any(wanted.items() <= it for it in labels), thing
        if target := spec.get("scaleTargetRef"):
            find(objects, target["kind"], target["name"])
        if thing["kind"] == "Service":
            served = [
                port["containerPort"] for it in containers(objects) for port in it.get("ports", [])
            ]
            assert [port["port"] for port in spec["ports"]] == served
    for pod in pods(objects):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounted = [it["name"] for c in pod["spec"]["containers"] for it in c["volumeMounts"]]
        assert set(mounted) == set(volumes)
        for volume in volumes.values():
            if secret := volume.get("secret"):
                data = find(objects, "Secret", secret["secretName"])["data"]
                assert {item["key"] for item in secret["items"]} <= data.keys()
            if claim := volume.get("persistentVolumeClaim"):
                find(objects, "PersistentVolumeClaim", claim["claimName"])
        for container in pod["spec"]["containers"]:
            [source] = container["envFrom"]
            find(objects, "ConfigMap", source["configMapRef"]["name"])


@pytest.mark.parametrize("name", SERVING)
def test_a_kustomization_as_documented_changes_the_overlay(name: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    [example] = re.findall(r"```\n(apiVersion.*?)```", page, re.DOTALL)
    assert "overlays/postgresql]" in example
    (tmp_path / "kustomization.yaml").write_text(example.replace("postgresql]", f"{name}]"))
    shutil.copytree(KUBERNETES, tmp_path / "streetlight" / "deploy" / "kubernetes")
    for file in ("api-key", "database-url"):
        (tmp_path / file).write_text(file)

    objects = render(tmp_path)

    check_references(objects)
    for container in containers(objects):
        assert container["image"] == "registry.example/streetlight:0.1.0"
        assert variables(container, objects)["STREETLIGHT_RETRAIN_AFTER"] == "100"
    assert all(it["metadata"]["namespace"] == "streetlight" for it in objects)
    [secret] = [it["data"] for it in objects if it["kind"] == "Secret"]
    assert {base64.b64decode(value).decode() for value in secret.values()} == secret.keys()


@pytest.mark.parametrize("name", SERVING)
def test_pods_have_no_privileges_and_limits(name: str) -> None:
    for pod in pods(overlay(name)):
        spec = pod["spec"]
        # Kubernetes would set STREETLIGHT_PORT and unknown settings for the service.
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] == 10001  # as in the Dockerfile
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(it["emptyDir"]["sizeLimit"] for it in spec["volumes"] if "emptyDir" in it)
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", SERVING)
def test_variables_are_settings_and_arguments_are_commands(name: str) -> None:
    objects = overlay(name)
    for container in containers(objects):
        assert variables(container, objects).keys() - {"PROTOCOL"} <= SETTINGS
        command: click.Command = main
        arguments = list(container["args"])
        while isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        command.make_context(command.name, arguments)  # raises an error for an unknown option


def variables(container: Object, objects: list[Object]) -> dict[str, str]:
    """Return the variables of a container: of the image, the ConfigMap, and its own."""
    image = re.findall(r"(STREETLIGHT_\w+)=([\w./]+)", (ROOT / "Dockerfile").read_text())
    [source] = container["envFrom"]
    config = find(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    own = {variable["name"]: variable["value"] for variable in container.get("env", [])}
    return {**dict(image), **config, **own}


class Container:
    """The container of an overlay that runs a command, with its volumes below a folder."""

    def __init__(self, name: str, command: str, folder: Path, **secrets: str | None) -> None:
        objects = overlay(name)
        [(pod, self.fields)] = [
            (pod, container)
            for pod in pods(objects)
            for container in pod["spec"]["containers"]
            if container["args"][0] == command
        ]
        self.folder = folder
        self.mounts = {it["name"]: it["mountPath"] for it in self.fields["volumeMounts"]}
        for volume in pod["spec"]["volumes"]:
            if volume["name"] in self.mounts:
                mount = Path(self.inside(self.mounts[volume["name"]]))
                mount.mkdir(parents=True)
                for item in volume.get("secret", {}).get("items", []):
                    value = secrets[item["key"].replace("-", "_")]
                    (mount / item["path"]).write_text(f"{value}\n" if value else "")
        self.command = (STREETLIGHT, *map(self.inside, self.fields["args"]))
        self.settings = {
            name.removeprefix(PREFIX).lower(): self.inside(value)
            for name, value in variables(self.fields, objects).items()
            if name.startswith(PREFIX)
        } | {"host": "127.0.0.1"}

    def inside(self, text: str) -> str:
        """Return a text with the folder before the path of each volume."""
        paths = "|".join(self.mounts.values())
        return re.sub(rf"(?<![\w/])(?:{paths})\b", rf"{self.folder}\g<0>", text)

    def server(self) -> ForkedServer:
        """Return a server, which has started when its startup probe succeeds."""
        server = ForkedServer(Path(self.settings["data_dir"]))
        server.command = self.command
        server.settings |= self.settings
        server.health = self.fields["startupProbe"]["httpGet"]["path"]
        return server


@pytest.mark.parametrize("name", STARTED)
def test_a_server_answers_each_probe(name: str, tmp_path: Path) -> None:
    port = Settings.model_fields["port"].default
    with databases.fresh("sqlite" if name == "sqlite" else "postgresql") as url:
        container = Container(name, "serve", tmp_path, api_key="key", database_url=url)
        assert [it["containerPort"] for it in container.fields["ports"]] == [port]
        with container.server() as server:
            for probe in ("livenessProbe", "readinessProbe"):
                asked = container.fields[probe]["httpGet"]
                assert asked["port"] == port
                server.get(asked["path"])
            row = {"lights": [1, 0, 1], "outcome": "walk"}
            server.expect(401, "POST", "/observations", row)
            server.expect(201, "POST", "/observations", row, Authorization="Bearer key")
            assert not url or not list(server.data_dir.glob("*.db"))
            for thing in overlay(name):
                if thing["kind"] == "InferenceService":
                    server.get(f"/v2/models/{thing['metadata']['name']}/ready")


@needs_postgresql
def test_a_new_pod_without_its_database_is_alive_and_not_ready(tmp_path: Path) -> None:
    with databases.fresh("postgresql") as url:
        assert url
        container = Container("postgresql", "serve", tmp_path, api_key="key", database_url=url)
        liveness, readiness = (
            container.fields[probe]["httpGet"]["path"]
            for probe in ("livenessProbe", "readinessProbe")
        )
        with ExitStack() as outage:
            outage.enter_context(databases.outage(url))
            with container.server() as server:
                server.get(liveness)
                server.expect(503, "GET", readiness)
                outage.close()
                server.health = readiness
                server.wait_until_ready()


# The trainer of `kserve` is that of `postgresql`.
@pytest.mark.parametrize("name", [name for name in STARTED if name != "kserve"])
def test_a_trainer_touches_the_file_of_its_probes(name: str, tmp_path: Path) -> None:
    with databases.fresh(name) as url:
        container = Container(name, "work", tmp_path, database_url=url)
        probes = [container.fields[probe]["exec"] for probe in ("startupProbe", "livenessProbe")]
        assert probes[0] == probes[1]
        check = [container.inside(part) for part in probes[0]["command"]]
        log = tmp_path / "log"
        trainer = Fork(container.command[1:], environment(**container.settings), log)
        try:
            deadline = time.monotonic() + DEADLINE
            while subprocess.run(check, capture_output=True, check=False).returncode:
                assert trainer.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            trainer.terminate()
        assert trainer.wait(DEADLINE) == 0


@needs_postgresql
def test_the_job_creates_the_tables(tmp_path: Path) -> None:
    with databases.fresh("postgresql") as url:
        container = Container("postgresql", "db", tmp_path, database_url=url)
        run = streetlight(*container.command[1:], **container.settings)
        assert run.returncode == 0, run.stderr
        assert "ledger: created with revision" in run.stdout


@pytest.mark.parametrize("name", SERVING)
def test_no_server_starts_with_the_empty_secrets(name: str, tmp_path: Path) -> None:
    for thing in overlay(name):
        assert thing["kind"] != "Secret" or set(thing["data"].values()) == {""}
    container = Container(name, "serve", tmp_path, api_key="", database_url="")
    run = invoke(*container.command[1:], **container.settings)
    assert run.returncode == 2
    assert "STREETLIGHT_API_KEY_FILE: expected the value in" in run.stderr


def test_no_trainer_starts_with_an_empty_url(tmp_path: Path) -> None:
    container = Container("postgresql", "work", tmp_path, database_url="")
    run = invoke(*container.command[1:], **container.settings)
    assert run.returncode == 2
    assert "STREETLIGHT_DATABASE_URL_FILE: expected the value in" in run.stderr


@pytest.mark.parametrize("name", SERVING)
def test_prometheus_finds_the_metrics_of_the_job_in_the_rules(
    name: str, shared_server: Server
) -> None:
    monitor = find(overlay("prometheus-operator"), "ServiceMonitor", "streetlight")["spec"]
    # KServe makes a Service with the labels of the InferenceService, and the port of the container.
    kind = "InferenceService" if name == "kserve" else "Service"
    service = find(overlay(name), kind, "streetlight")
    labels = service["metadata"]["labels"]
    ports = (
        service["spec"]["predictor"]["containers"][0]["ports"]
        if name == "kserve"
        else service["spec"]["ports"]
    )

    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert f'up{{job="{labels[monitor["jobLabel"]]}"}}' in ALERTS.read_text()
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in ports}
    assert shared_server.request("GET", endpoint["path"]).status == 200
