"""Tests of the file `.env`: what it may contain, and mistakes in it."""

import os
from pathlib import Path

import pytest

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.settings import PREFIX
from streetlight.service.config.sources import load_settings
from tests.client import invoke


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "content",
    [
        b"STREETLIGHT_PORT=81\nPOSTGRES_PASSWORD\nOTHER=1\n",
        b"\xef\xbb\xbfSTREETLIGHT_PORT=81",
        b"# a comment\r\n\r\nSTREETLIGHT_PORT=81\r\n",
        b"export STREETLIGHT_PORT=81",
        b"streetlight_port=81",
        b"STREETLIGHT_PORT = '81' # a comment",
        b'STREETLIGHT_PORT="81"',
        b"P=81\nSTREETLIGHT_PORT=${P}",
        b"STREETLIGHT_PORT=tcp\nSTREETLIGHT_PORT=81",
    ],
)
def test_a_setting_is_read(content: bytes) -> None:
    Path(".env").write_bytes(content)

    assert load_settings().port == 81


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"STREETLIGHT_PROT=1", "STREETLIGHT_PROT in .env: unknown setting; did you mean"),
        (b"streetlight_prot=1", "STREETLIGHT_PROT in .env: unknown setting; did you mean"),
        (b"export STREETLIGHT_PROT=1", "STREETLIGHT_PROT in .env: unknown setting; did you mean"),
        (b"\xef\xbb\xbfSTREETLIGHT_PROT=1\r\n", "STREETLIGHT_PROT in .env: unknown setting"),
        (
            b"STREETLIHT_API_KEY=1",
            "STREETLIHT_API_KEY in .env: unknown setting; did you mean STREETLIGHT_API_KEY?",
        ),
        (b"STREET_LIGHT_PORT=1", "did you mean STREETLIGHT_PORT?"),
        (b"STREETLIGHTPORT=1", "did you mean STREETLIGHT_PORT?"),
        (b"STREETLIGHT_API_KEY", "STREETLIGHT_API_KEY in .env: expected STREETLIGHT_API_KEY=VALUE"),
        (b"A=1\nSTREETLIGHT_API_KEY 1\n", ".env, line 2: expected NAME=VALUE"),
        (b"STREETLIGHT_API_KEY: secret\n", ".env, line 1: expected NAME=VALUE"),
        (b"A=1\nSTREETLIGHT_API_KEY='secret", ".env, line 2: expected NAME=VALUE, with closed"),
        (b"STREETLIGHT_DATA_DIR=a\0b", ".env, line 1: expected NAME=VALUE, with closed quotes"),
        (b"STREETLIGHT_API_KEY=\xff\xfe", ".env: expected UTF-8 text"),
        ("STREETLIGHT_PORT=81".encode("utf-16"), ".env: expected UTF-8 text"),
        (b"STREETLIGHT_PORT=tcp://10.0.0.1:80", "STREETLIGHT_PORT: expected a whole number"),
        (b"STREETLIGHT_SERVICE_HOST=10.0.0.1", "STREETLIGHT_SERVICE_HOST in .env: unknown setting"),
    ],
)
def test_a_mistake_is_an_error_in_one_line(content: bytes, message: str) -> None:
    Path(".env").write_bytes(content)

    run = invoke("versions")

    assert run.returncode == 2
    assert message in run.stderr
    assert "secret" not in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_file_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test by root can read every file, so the error is simulated."""
    Path(".env").write_bytes(b"STREETLIGHT_PORT=81")

    def fail(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(SettingsError, match=r"^\.env: can't read the file: Permission denied$"):
        load_settings()


def test_a_directory_is_an_error_unless_it_is_a_virtual_environment() -> None:
    Path(".env").mkdir()
    with pytest.raises(SettingsError, match=r"^\.env: expected a file with settings, got a dir"):
        load_settings()

    Path(".env/pyvenv.cfg").write_text("")
    assert load_settings().port == 8000


def test_the_environment_is_checked_for_the_same_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREETLIHT_API_KEY", "secret")
    with pytest.raises(SettingsError, match=r"^STREETLIHT_API_KEY: unknown setting; did you mean"):
        load_settings()
