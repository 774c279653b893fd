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
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]

from streetlight.service.cli import main
from streetlight.service.config import PREFIX, Settings
from tests import databases
from tests.client import invoke
from tests.server import DEADLINE, STREETLIGHT, Fork, ForkedServer, environment, streetlight
from tests.test_containers import SETTINGS

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
SERVING = ["kserve", "postgresql", "sqlite"]
# Overlays whose database this environment has.
STARTED = [name for name in SERVING if name == "sqlite" or databases.POSTGRESQL]

Object = dict[str, Any]

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
    """A container's command, with its variables, volumes and secrets below a folder."""

    def __init__(
        self, pod: Object, container: Object, objects: list[Object], folder: Path, **secrets: str
    ) -> None:
        self.container = container
        self.folder = folder
        self.mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
        for volume in pod["spec"]["volumes"]:
            if volume["name"] in self.mounts:
                mount = Path(self.inside(self.mounts[volume["name"]]))
                mount.mkdir(parents=True)
                for item in volume.get("secret", {}).get("items", []):
                    (mount / item["path"]).write_text(secrets[item["key"].replace("-", "_")])
        self.command = (STREETLIGHT, *map(self.inside, container["args"]))
        self.settings = {
            name.removeprefix(PREFIX).lower(): self.inside(value)
            for name, value in variables(container, objects).items()
            if name.startswith(PREFIX)
        } | {"host": "127.0.0.1"}

    def inside(self, text: str) -> str:
        """Return a text with the folder before the path of each volume."""
        paths = "|".join(self.mounts.values())
        return re.sub(rf"(?<![\w/])(?:{paths})\b", rf"{self.folder}\g<0>", text)

    def probes(self) -> list[Object]:
        return [self.container[it] for it in self.container if it.endswith("Probe")]


def container_of(objects: list[Object], command: str, folder: Path, **secrets: str) -> Container:
    [(pod, container)] = [
        (pod, it)
        for pod in pods(objects)
        for it in pod["spec"]["containers"]
        if it["args"][0] == command
    ]
    return Container(pod, container, objects, folder, **secrets)


@pytest.mark.parametrize("name", STARTED)
def test_a_server_answers_each_probe(name: str, tmp_path: Path) -> None:
    objects = overlay(name)
    with databases.fresh("sqlite" if name == "sqlite" else "postgresql") as url:
        started = container_of(objects, "serve", tmp_path, api_key="key\n", database_url=f"{url}\n")
        server = ForkedServer(Path(started.settings["data_dir"]))
        server.command = started.command
        server.settings |= started.settings
        with server:
            ports = {it["containerPort"] for it in started.container["ports"]}
            assert ports == {Settings.model_fields["port"].default}
            for probe in started.probes():
                assert probe["httpGet"]["port"] in ports
                assert server.request("GET", probe["httpGet"]["path"]).status == 200
            for thing in objects:
                if thing["kind"] == "Service":
                    assert {port["port"] for port in thing["spec"]["ports"]} == ports
            row = {"lights": [1, 0, 1], "outcome": "walk"}
            assert server.request("POST", "/observations", row).status == 401
            answer = server.request("POST", "/observations", row, Authorization="Bearer key")
            assert answer.status == 201
            if url:
                assert not list(server.data_dir.glob("*.db"))


# The trainer of `kserve` is that of `postgresql`.
@pytest.mark.parametrize("name", [name for name in STARTED if name != "kserve"])
def test_a_trainer_touches_the_file_of_its_probes(name: str, tmp_path: Path) -> None:
    with databases.fresh("sqlite" if name == "sqlite" else "postgresql") as url:
        started = container_of(overlay(name), "work", tmp_path, database_url=f"{url}\n")
        [check] = {tuple(probe["exec"]["command"]) for probe in started.probes()}
        command = [started.inside(part) for part in check]
        log = tmp_path / "log"
        trainer = Fork(started.command[1:], environment(**started.settings), log)
        try:
            deadline = time.monotonic() + DEADLINE
            while subprocess.run(command, capture_output=True, check=False).returncode:
                assert trainer.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            trainer.terminate()
        assert trainer.wait(DEADLINE) == 0


@pytest.mark.skipif(not databases.POSTGRESQL, reason=databases.LEFT_OUT)
def test_the_job_creates_the_tables(tmp_path: Path) -> None:
    with databases.fresh("postgresql") as url:
        started = container_of(overlay("postgresql"), "db", tmp_path, database_url=f"{url}\n")
        for done in ("created with", "has"):
            run = streetlight(*started.command[1:], **started.settings)
            assert run.returncode == 0, run.stderr
            assert f"ledger: {done} revision" in run.stdout


@pytest.mark.parametrize("name", SERVING)
def test_nothing_starts_with_the_empty_secrets(name: str, tmp_path: Path) -> None:
    objects = overlay(name)
    for secret in (it for it in objects if it["kind"] == "Secret"):
        assert set(secret["data"].values()) == {""}
    started = container_of(objects, "serve", tmp_path, api_key="", database_url="")
    run = invoke(*started.command[1:], **started.settings)
    assert run.returncode == 2
    assert "STREETLIGHT_API_KEY_FILE: expected the value in" in run.stderr
