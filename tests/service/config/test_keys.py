"""Tests of the file of the API keys: what is valid, what an error says, and what a change does."""

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.keys import ApiKey, ApiKeys
from streetlight.service.config.settings import Settings
from streetlight.service.config.sources import load_settings

SECRET = "hunter2-hunter2"  # noqa: S105 - of the tests


def entry(**fields: object) -> dict[str, Any]:
    return {"name": "ci", "key": SECRET, "rights": ["train"], **fields}


def write(file: Path, *entries: object) -> None:
    file.write_text(json.dumps(entries))


def keys_of(file: Path, **settings: Any) -> ApiKeys:
    return ApiKeys(Settings(api_keys_file=file, **settings))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_has_a_name_and_rights(file: Path) -> None:
    write(
        file, entry(), entry(name="ops", key="Schlüssel €", rights=["admin"]), entry(key="ci's new")
    )
    keys = keys_of(file, api_key="the one")
    keys.load()

    def find(key: str) -> ApiKey:
        found = keys.find(key.encode())
        assert found
        return found

    assert (find(SECRET).name, find("ci's new").name) == ("ci", "ci")
    assert find(SECRET).has("train")
    assert not find(SECRET).has("read")
    assert not find(SECRET).has("admin")
    assert find("Schlüssel €").has("predict")
    assert find("the one").name == "default"
    assert find("the one").has("observe")
    assert keys.find(b"") is None
    assert keys.find(SECRET[:-1].encode()) is None
    assert SECRET not in repr((keys, vars(keys), find(SECRET)))


def test_a_file_without_entries_has_no_key_but_requires_one(file: Path) -> None:
    write(file)
    keys = keys_of(file)
    keys.load()
    assert keys.required
    assert keys.find(b"") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "malformed JSON: EOF while parsing a value at line 1 column 0"),
        (f'[{{"key": "{SECRET}"'.encode(), "malformed JSON: EOF while parsing"),
        (f'[{{"key": {SECRET}}}]'.encode(), "malformed JSON: expected value at line 1 column 10"),
        (b'["\xff"]', "malformed JSON: invalid unicode code point at line 1 column 3"),
        ({"name": "ci"}, "expected a list"),
        ([SECRET], "[0]: expected a JSON object"),
        ([entry(), entry(key=1)], "[1].key: expected text"),
        ([entry(key="")], "[0].key: expected at least 1 characters"),
        ([entry(key=f"{SECRET}\n")], "[0].key: expected printable characters, without a space at"),
        ([entry(key=f" {SECRET}")], "[0].key: expected printable characters, without a space at"),
        (
            [entry(name="a name")],
            "[0].name: expected up to 100 letters of ASCII, digits and ._-, got ",
        ),
        ([{"name": "ci", "rights": ["read"]}], "[0].key: required, but missing"),
        ([entry(kye=SECRET)], "[0].kye: unknown field"),
        ([entry(rights=[])], "[0].rights: expected at least 1 items, got 0"),
        ([entry(rights="admin")], '[0].rights: expected a list, got "admin"'),
        (
            [entry(rights=["read", "write"])],
            "[0].rights[1]: expected 'read', 'predict', 'observe', 'train' or 'admin', got \"w",
        ),
        (
            [entry(), entry(name="ops")],
            "[0].key: expected a key that no other entry has, and that isn't STREETLIGHT_API_KEY",
        ),
    ],
)
def test_an_invalid_file_is_refused(file: Path, content: Any, message: str) -> None:
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(SettingsError) as error:
        keys_of(file).load()
    assert str(error.value).startswith(f"STREETLIGHT_API_KEYS_FILE: {file}: {message}")
    assert SECRET not in "".join(traceback.format_exception(error.value))


def test_a_key_that_is_also_the_setting_is_refused(file: Path) -> None:
    write(file, entry())
    with pytest.raises(SettingsError, match=r"\[0\]\.key: expected a key that no other entry has"):
        keys_of(file, api_key=SECRET).load()


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(SettingsError) as error:
        keys_of(file).load()
    assert str(error.value) == (
        f"STREETLIGHT_API_KEYS_FILE: can't read {file}: No such file or directory"
    )


def test_while_the_file_is_invalid_the_former_keys_are_valid(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(file, entry())
    keys = keys_of(file)
    keys.load()
    keys.reload()
    assert not caplog.messages
    file.write_text(file.read_text()[:-5])
    for _ in range(3):
        keys.reload()
        assert keys.find(SECRET.encode())
        assert keys.problem
    file.unlink()
    keys.reload()
    assert keys.find(SECRET.encode())
    write(file, entry(key="another"))
    keys.reload()
    assert keys.find(SECRET.encode()) is None
    assert keys.find(b"another")
    assert keys.problem is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]
    assert caplog.messages[0].endswith("; the API keys stay those of ci")
    assert "can't read" in caplog.messages[1]
    assert caplog.messages[2] == "the API keys are now those of ci"
    assert SECRET not in caplog.text


def test_a_worker_that_starts_later_has_the_present_keys(file: Path) -> None:
    """It is a fork of the main process, which has read the file at the start of the service."""
    write(file, entry())
    keys = keys_of(file)
    keys.load()
    write(file, entry(key="another"))
    keys.follow_file(lambda: None)
    assert keys.find(SECRET.encode()) is None
    assert keys.find(b"another")


def test_a_worker_that_starts_with_an_invalid_file_has_no_key_of_it(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the main process has read may contain a key that was removed since."""
    write(file, entry())
    keys = keys_of(file, api_key="the setting")
    keys.load()
    file.write_text("[")
    keys.follow_file(lambda: None)
    assert keys.find(SECRET.encode()) is None
    assert keys.find(b"the setting")
    assert caplog.messages[0].endswith("; the API keys stay those of default")


@pytest.mark.parametrize("key", [f"{SECRET} ", f"\t{SECRET}", " "])
def test_a_setting_that_no_request_can_send_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("STREETLIGHT_API_KEY", key)
    with pytest.raises(SettingsError) as error:
        load_settings()
    message = "STREETLIGHT_API_KEY: expected a key without a space at either end"
    assert str(error.value) == message
