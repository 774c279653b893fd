"""The systemd unit: its command runs with the environment and the credential that it names.

`.ci/systemd` starts the unit with systemd.
"""

import socket
from collections import defaultdict
from pathlib import Path

import pytest

from streetlight.service.config.settings import PREFIX
from tests.server import STREETLIGHT, Server

UNIT = Path(__file__).parent.parent / "deploy" / "systemd" / "streetlight.service"
INSTALLED = "/opt/streetlight/.venv/bin/streetlight"


def directives() -> dict[str, list[str]]:
    """Return the values of each directive of the unit."""
    found = defaultdict(list)
    for line in UNIT.read_text().splitlines():
        name, assigned, value = line.partition("=")
        if assigned and not line.startswith("#"):
            found[name].append(value)
    return found


@pytest.mark.process
def test_the_unit_starts_a_server_that_reads_its_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = directives()
    [(credential, _, source)] = [value.partition(":") for value in unit["LoadCredential"]]
    assert source == "/etc/streetlight/api_key"
    folders = {"%S": tmp_path, "%d": tmp_path / "credentials"}
    folders["%d"].mkdir()
    (folders["%d"] / credential).write_text("secret\n")
    settings = {}
    for value in unit["Environment"]:
        for specifier, folder in folders.items():
            value = value.replace(specifier, str(folder))  # noqa: PLW2901
        name, _, value = value.partition("=")  # noqa: PLW2901
        if name.startswith(PREFIX):
            settings[name.removeprefix(PREFIX).lower()] = value
    data_dir = Path(settings.pop("data_dir"))
    [command] = unit["ExecStart"]
    server = Server(data_dir, **settings)
    server.command = tuple(command.replace(INSTALLED, STREETLIGHT).split())

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with server:
            assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
            assert server.request("POST", "/versions/1/promote").status == 401
            key = {"Authorization": "Bearer secret"}
            assert server.post("/versions/1/promote", **key)["live"] == 1
        manager.settimeout(0)
        assert manager.recv(1000).startswith(b"READY=1\n")  # as Type=notify expects
    assert unit["Type"] == ["notify"]
    # All state is where the unit permits writing.
    assert [f"%S/{name}" for name in unit["StateDirectory"]] == unit["WorkingDirectory"]
    assert data_dir == tmp_path / unit["StateDirectory"][0]
