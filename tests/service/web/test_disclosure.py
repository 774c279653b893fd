"""Error responses and jobs don't say where the server keeps its files and its database."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streetlight.service.store.engine import open_engine
from tests.client import App

DATABASE = "database-host.invalid"
SECRET = "the-password"  # noqa: S105 - of no database


def replace(path: Path, content: bytes | None = None) -> None:
    """Replace a file or folder by a file with `content`, or by a folder."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)


def without_training_data(models: Path) -> None:
    with np.load(models / "2.npz") as file:
        arrays = {name: file[name] for name in file if name != "lights"}
    replace(models / "2.npz", b"")
    np.savez(models / "2.npz", **arrays)


def link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


FAULTS: dict[str, Callable[[Path], object]] = {
    "rubbish": lambda models: replace(models / "2.npz", b"rubbish"),
    "folder": lambda models: replace(models / "2.npz"),
    "loop": lambda models: link(models / "2.npz", "2.npz"),
    "another version": lambda models: shutil.copy(models / "1.npz", models / "2.npz"),
    "no data": without_training_data,
    "link to elsewhere": lambda models: link(models / "live", f"{models}/elsewhere"),
    "link to nothing": lambda models: link(models / "live", "9.npz"),
    "link is a file": lambda models: replace(models / "live", b"1"),
    "lock": lambda models: replace(models / ".promote.lock"),
    "promotions": lambda models: replace(models / "promotions.jsonl"),
    "no promotions": lambda models: replace(models / "promotions.jsonl", b"[]\n"),
    "models": lambda models: replace(models, b""),
}


def assert_discloses_nothing(app: App) -> set[int]:
    """Send requests to all routes, and return the statuses of the responses."""
    texts, statuses = [], set()
    for rule in app.application.url_map.iter_rules():
        path = rule.rule.replace("<version:a>", "1").replace("<label>", "previous")
        for name in ("<int:number>", "<version:number>", "<version>", "<version:b>"):
            path = path.replace(name, "2")
        path = path.replace("<model>", "streetlight").replace("<name>", "none")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            body = None if method == "GET" else {"lights": [1, 0, 1], "outcome": "walk"}
            response = app.request(method, path, body)
            texts.append(f"{method} {path}: {response.data!r} {response.headers}")
            statuses.add(response.status)
    for hidden in (app.data_dir, sys.prefix, Path(__file__).parents[3], DATABASE, SECRET):
        assert not [text for text in texts if str(hidden) in text]
    assert not [text for text in texts if "Traceback (" in text]
    return statuses


@pytest.mark.process
@pytest.mark.parametrize("fault", FAULTS)
def test_no_response_names_a_folder_of_the_server(app: App, fault: str) -> None:
    app.train("--seed", "5")
    FAULTS[fault](app.data_dir / "models")

    statuses = assert_discloses_nothing(app)

    assert statuses & {409, 500, 503}


@pytest.mark.process
@pytest.mark.parametrize("end", ["kill -9 $$", 'echo "$0 failed" >&2; exit 1'])
def test_a_verification_that_fails_is_an_internal_error(
    app: App, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    script = app.data_dir / "python"
    script.write_text(f"#!/bin/sh\n{end}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))

    message = app.expect(500, "POST", "/versions/1/verify")["error"]

    assert message == "internal server error; the server's log has the details"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://someone:{SECRET}@{DATABASE}/street",
        f"postgresql+psycopg://someone:{SECRET}@127.0.0.1:1/{DATABASE}",
        f"sqlite:////{DATABASE}/{SECRET}",
    ],
)
def test_no_response_names_the_database(app: App, url: str) -> None:
    app.services.engine.dispose()
    vars(app.services)["engine"] = open_engine(url)

    message = app.expect(503, "POST", "/observations", {"lights": [1, 0, 1], "outcome": "walk"})

    assert message["error"].startswith("the database can't be used")
    assert 503 in assert_discloses_nothing(app)


@pytest.mark.parametrize("fault", ["lock", "promotions"])
def test_no_job_names_a_folder_of_the_server(app: App, fault: str) -> None:
    FAULTS[fault](app.data_dir / "models")
    job = app.expect(202, "POST", "/retrain")["id"]

    app.work()

    assert app.get(f"/jobs/{job}")["error"] == "Is a directory"
    assert_discloses_nothing(app)
