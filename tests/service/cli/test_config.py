"""Tests of the command `config`, of the help and of the completion by a shell."""

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import click
import pytest

from streetlight.service.cli import main
from streetlight.service.config.settings import Settings
from tests.client import invoke
from tests.server import DEADLINE, STREETLIGHT, environment, free_port


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shown(*options: str, **settings: object) -> dict[str, Any]:
    run = invoke("config", "--json", *options, **settings)
    assert run.returncode == 0, run.stderr
    return {
        name.removeprefix("STREETLIGHT_").lower(): (row["value"], row["source"])
        for name, row in json.loads(run.stdout).items()
    }


def test_every_setting_is_shown_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("streetlight_job_lease=7\nSTREETLIGHT_HOST=::1\n")
    Path("key").write_text("hunter2\n")
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/healthy")
    monkeypatch.setenv("AIP_HTTP_PORT", "81")
    must_hold = [{"lights": [0.0, 0.0, 1.0], "outcome": "stop"}]
    settings = {"api_key_file": "key", "must_hold": json.dumps(must_hold), "host": "0.0.0.0"}  # noqa: S104
    rows = shown("--workers", "3", "--port", "82", **settings)

    assert rows.keys() == Settings.model_fields.keys()
    assert rows["exam"] == (0.2, "default")
    assert rows["job_lease"] == (7.0, ".env")
    assert rows["host"] == ("0.0.0.0", "environment")  # noqa: S104
    assert rows["must_hold"] == (must_hold, "environment")
    assert rows["health_route"] == ("/healthy", "AIP_HEALTH_ROUTE")
    assert rows["workers"] == (3, "option --workers")
    assert rows["port"] == (82, "option --port")
    assert rows["api_key"] == ("***", "STREETLIGHT_API_KEY_FILE: key")
    assert rows["database_url"] == ("sqlite:///data/streetlight.db", "default")
    assert rows["retrain_after"] == (None, "default")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql+psycopg://me:hunter2@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql+psycopg://me:h%40nter2@h:5/db", "postgresql+psycopg://me:***@h:5/db"),
        (
            "postgresql+psycopg:///db?host=a:1&host=b:2&password=hunter2",
            "postgresql+psycopg:///db?host=a%3A1&host=b%3A2&password=***",
        ),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
    ],
)
def test_passwords_are_masked(url: str, masked: str) -> None:
    run = invoke("config", database_url=url, api_key="hunter2")

    assert "hunter2" not in run.stdout
    assert "h%40nter2" not in run.stdout
    assert shown(database_url=url)["database_url"] == (masked, "environment")


def test_the_table_has_a_line_for_each_setting() -> None:
    lines = invoke("config", port=81).stdout.splitlines()

    assert len(lines) == len(Settings.model_fields)
    assert ["STREETLIGHT_PORT", "81", "environment"] in [line.split() for line in lines]
    assert ["STREETLIGHT_RETRAIN_AFTER", "none", "default"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": "x"}, "STREETLIGHT_PORT: expected a whole number"),
        ({"prot": "1"}, "STREETLIGHT_PROT: unknown setting"),
        ({"predict_route": "/predict"}, "STREETLIGHT_PREDICT_ROUTE: /predict is another route of"),
        ({"api_keys_file": "/none"}, "STREETLIGHT_API_KEYS_FILE: can't read /none"),
        ({"data_dir": "a?b"}, "STREETLIGHT_DATA_DIR: expected a path without ?, which would end"),
        ({"database_url": "hunter2"}, "STREETLIGHT_DATABASE_URL: "),
        (
            {"database_url": "postgresql+psycopg://a:b,c:d/e"},
            "STREETLIGHT_DATABASE_URL: expected a",
        ),
    ],
)
def test_an_invalid_setting_is_the_error_of_serve(settings: dict[str, str], message: str) -> None:
    settings = {"port": str(free_port())} | settings
    run = invoke("config", **settings)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"streetlight: {message}")
    if "predict_route" not in settings:  # `serve` trains the first version before
        assert run.stderr == invoke("serve", **settings).stderr
    assert "hunter2" not in run.stderr


def test_the_error_of_a_variable_of_vertex_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "health")
    assert invoke("config").stderr.startswith("streetlight: AIP_HEALTH_ROUTE: expected a path")


def commands(group: click.Command, *path: str) -> list[list[str]]:
    """Return the arguments that select each command."""
    if not isinstance(group, click.Group):
        return [list(path)]
    found = []
    for name, command in group.commands.items():
        found += commands(command, *path, name)
    return found


# `train` has the help of `python -m streetlight.model`, and `monitoring` has no settings.
WITH_SETTINGS = [it for it in commands(main) if it not in (["train"], ["monitoring"])]


@pytest.mark.parametrize("command", WITH_SETTINGS, ids=" ".join)
def test_the_help_of_a_command_has_the_settings_and_defaults(command: list[str]) -> None:
    help_text = " ".join(invoke(*command, "--help").stdout.split())

    assert "Settings: STREETLIGHT_DATA_DIR Directory that " in help_text
    assert "[default: data" in help_text
    if command == ["serve"]:
        assert "--port TEXT TCP port to listen on. [env var: STREETLIGHT_PORT; default: (8" in (
            help_text
        )
        assert all(f" STREETLIGHT_{name.upper()} " in help_text for name in Settings.model_fields)


@pytest.mark.process
def test_bash_completes_commands_and_options() -> None:
    keyboard, terminal = os.openpty()
    path = f"{Path(STREETLIGHT).parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "--norc", "-i"],
        env=environment() | {"PATH": path},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    output = b""
    deadline = time.monotonic() + DEADLINE

    def type_keys(keys: str, expected: bytes) -> None:
        nonlocal output
        os.write(keyboard, keys.encode())
        while expected not in output:
            assert select.select([keyboard], [], [], deadline - time.monotonic())[0], output
            output += os.read(keyboard, 4096)

    try:
        type_keys('eval "$(_STREETLIGHT_COMPLETE=bash_source streetlight)"; echo $((6*7))\n', b"42")
        type_keys("streetlight retr\t", b"streetlight retrain ")
        type_keys("--data\t", b"--dataset ")
        type_keys("one\t", b"one-light ")
    finally:
        os.close(keyboard)
        shell.kill()
        shell.wait()
