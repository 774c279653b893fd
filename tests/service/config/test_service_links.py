"""Tests of the variables that Kubernetes and Docker set for a service named `streetlight…`."""

import json
from pathlib import Path

import pytest

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.sources import load_settings, service_links
from tests.server import Server

PORT = "tcp://10.0.0.1:8000"


def kubernetes(service: str, port: str = "8000") -> dict[str, str]:
    """Return the variables of a service, as the kubelet makes them."""
    url = f"tcp://10.0.0.1:{port}"
    return {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": port,
        f"{service}_SERVICE_PORT_HTTP": port,
        f"{service}_PORT": url,
        f"{service}_PORT_{port}_TCP": url,
        f"{service}_PORT_{port}_TCP_PROTO": "tcp",
        f"{service}_PORT_{port}_TCP_PORT": port,
        f"{service}_PORT_{port}_TCP_ADDR": "10.0.0.1",
    }


DOCKER = {
    "STREETLIGHT_NAME": "/client/streetlight",
    "STREETLIGHT_PORT": PORT,
    "STREETLIGHT_PORT_8000_TCP_START": PORT,
    "STREETLIGHT_PORT_8000_TCP_PORT_END": "8001",
    "STREETLIGHT_ENV_STREETLIGHT_DATA_DIR": "/data",
}
LINKS = {
    "STREETLIGHT": kubernetes("STREETLIGHT"),
    "STREETLIGHT_TRAINER": kubernetes("STREETLIGHT_TRAINER"),
    "STREETLIGHT_API": kubernetes("STREETLIGHT_API"),
    "IPv6": {"STREETLIGHT_PORT": "udp://[fd00::1]:53", "STREETLIGHT_SERVICE_HOST": "fd00::1"},
    "Docker": DOCKER,
}


@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS)
def test_the_variables_are_ignored(links: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in links.items():
        monkeypatch.setenv(name, value)

    assert service_links() == sorted(links)
    assert load_settings().port == 8000
    # The other sources of the setting stay.
    monkeypatch.setenv("AIP_HTTP_PORT", "81")
    assert load_settings().port == 81


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STREETLIGHT_PORT", "http://10.0.0.1:8000"),
        ("STREETLIGHT_PORT", "tcp"),
        ("STREETLIGHT_PORTS", PORT),
        ("STREETLIGHT_SERVICE_PORT", "x"),
        ("STREETLIGHT_MODEL_NAME", "/a/b"),
    ],
)
def test_other_variables_are_errors(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    assert service_links() == []
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load_settings()


@pytest.mark.process
def test_the_server_logs_what_it_ignores(tmp_path: Path) -> None:
    with Server(tmp_path, service_host="10.0.0.1", port_8000_tcp_proto="tcp") as server:
        log = server.wait_for_log("ignored")

    [line] = [json.loads(line) for line in log.splitlines() if "ignored" in line]
    assert line["level"] == "info"
    assert "STREETLIGHT_PORT_8000_TCP_PROTO, STREETLIGHT_SERVICE_HOST" in line["message"]
