"""Tests that export, restore and prune beside a busy service, kill them, and fill the disk."""

import subprocess
from pathlib import Path

import pytest

from streetlight.service.archive.archive_reader import ArchiveReader
from tests.client import App
from tests.model.registry.publishing import start
from tests.server import STREETLIGHT, environment
from tests.service.archive.conftest import place, run
from tests.service.archive.stopping import repeat_at_many_steps
from tests.service.conftest import Site

pytestmark = pytest.mark.process

QUICK = {"dataset": "six", "iterations": 20}


def test_exports_and_prunes_beside_a_busy_service(tmp_path: Path, database_url: str | None) -> None:
    """Each archive is of one moment: what it names, it has."""
    with Site(tmp_path / "site", database_url) as site:
        settings = place(site.data_dir, database_url)
        site.trainer()
        jobs = [
            site.retrain(**QUICK, promote=promote) for promote in ("always", "never", "always") * 3
        ]
        archives: list[Path] = []
        while site.job(jobs[-1])["state"] in ("queued", "running") or len(archives) < 2:
            site.expect(201, "POST", "/observations", {"lights": [1, 0, 0], "outcome": "stop"})
            archives.append(tmp_path / f"{len(archives)}.zip")
            run("export", archives[-1], **settings)
            run("prune", "--keep", 2, **settings)
            site.get("/predict?lights=1,0,1")
        assert {job["state"] for job in site.jobs()} == {"succeeded"}
        run("prune", "--keep", 1, **settings)
        assert site.post("/rollback")["live"] == site.get("/versions")["live"]
        site.check()

    for archive in archives[:: len(archives) // 3 + 1]:
        folder = tmp_path / archive.stem
        run("restore", archive, data_dir=folder)
        run("check", data_dir=folder)


# In a storm, at more steps.
GROWTH = pytest.mark.parametrize("growth", [2, pytest.param(1.3, marks=pytest.mark.storm)])


@GROWTH
def test_a_restore_that_is_killed_can_be_repeated(
    archive: Path, tmp_path: Path, database_url: str | None, growth: float
) -> None:
    """What a killed process leaves doesn't hinder the next one."""
    settings = place(tmp_path / "there", database_url)
    process = start(repeat_at_many_steps, ("restore", str(archive)), settings, growth, False)
    process.join(100)
    assert process.exitcode == 0

    run("export", tmp_path / "again.zip", **settings)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert not list((tmp_path / "there").glob(".restoring*"))


@GROWTH
def test_a_prune_that_is_killed_leaves_valid_data(
    tmp_path: Path, database_url: str | None, growth: float
) -> None:
    settings = place(tmp_path, database_url)
    with App(**settings) as app:
        for _ in range(5):
            app.expect(202, "POST", "/retrain", QUICK)
        app.work()

    process = start(repeat_at_many_steps, ("prune", "--keep", "1"), settings, growth, True)
    process.join(100)
    assert process.exitcode == 0

    assert run("check", **settings).stdout.startswith("checked 2 versions, 1 promotions, 4 observ")


# Runs a command in a small file system, and lists what it leaves.
SMALL = """
mount -t tmpfs -o size="$1" none "$2" && cd "$2" && shift 2 && "$0" "$@"
status=$?; ls -A; exit $status
"""
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL, STREETLIGHT)


@pytest.mark.parametrize(
    ("size", "command"),
    [("60k", "restore"), ("8k", "export"), ("8k", "backup")],
)
def test_a_full_disk_leaves_nothing(
    full: App, archive: Path, tmp_path: Path, size: str, command: str
) -> None:
    argument = {"restore": str(archive), "export": "a.zip", "backup": "."}[command]
    data_dir = Path() if command == "restore" else full.data_dir

    result = subprocess.run(
        [*UNSHARE, size, str(tmp_path), command, argument],
        env=environment(data_dir=data_dir),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2, result.stderr
    assert "disk is full" in result.stderr or "No space left on device" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert set(result.stdout.split()) <= {".restore.lock", ".schema.lock"}


# Runs a command where only the data directory and the folder `out` can be written.
READ_ONLY = """
mount --bind "$1" "$1" && mount --bind "$2" "$2" && mount -o remount,bind,ro / && cd "$2" &&
! touch ../written && exec "$0" backup .
"""


def test_a_backup_writes_only_to_its_folder(full: App, tmp_path: Path) -> None:
    """As in a container with a read-only file system."""
    out = tmp_path / "out"
    out.mkdir()

    result = subprocess.run(
        [*UNSHARE[:-2], READ_ONLY, STREETLIGHT, str(full.data_dir), str(out)],
        env=environment(data_dir=full.data_dir),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    [file] = out.iterdir()
    with file.open("rb") as content, ArchiveReader(content) as archive:
        assert len(archive.manifest.versions) == 3
