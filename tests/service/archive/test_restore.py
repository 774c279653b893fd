"""Tests of `export` and `restore`: what is restored is what was exported, with any database."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from streetlight.service.archive.archive_reader import ArchiveReader
from streetlight.service.archive.export import write_archive
from streetlight.service.archive.manifest import ArchiveError
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.registry.shared_repository import SharedRepository
from tests import databases
from tests.client import App, invoke
from tests.service.archive.conftest import ROW, fill, log_prediction, place, run
from tests.service.services import services_in

CHECKED = "checked 3 versions, 5 promotions, 7 observations, 5 jobs; violations: 0\n"


def answers(app: App) -> list[Any]:
    """Return what an application answers about everything that it stores."""
    paths = ["/versions", "/versions/1", "/versions/2", "/predictions"]
    paths += [f"/jobs/{number}" for number in range(1, 6)]
    observations = app.request("GET", "/observations?format=jsonl").data
    return [observations, *(app.get(path) for path in paths)]


def test_an_archive_restores_everything_with_each_database(
    full: App, archive: Path, tmp_path: Path, database_url: str | None
) -> None:
    """From SQLite to the database, and back."""
    there = place(tmp_path / "there", database_url)
    run("restore", archive, **there)
    assert run("check", **there).stdout == CHECKED
    run("export", tmp_path / "there.zip", **there)
    run("restore", tmp_path / "there.zip", data_dir=tmp_path / "back")
    run("export", tmp_path / "back.zip", data_dir=tmp_path / "back")

    assert (tmp_path / "there.zip").read_bytes() == archive.read_bytes()
    assert (tmp_path / "back.zip").read_bytes() == archive.read_bytes()
    assert run("check", data_dir=tmp_path / "back").stdout == CHECKED
    with App(tmp_path / "back", prediction_log=True) as restored:
        assert answers(restored) == answers(full)


def test_numbers_keep_their_digits_whatever_the_database_is_set_to(
    archive: Path, tmp_path: Path, shared_url: str
) -> None:
    engine = create_engine(shared_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = engine.url.database
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET extra_float_digits = 0")
    engine.dispose()
    there = place(tmp_path / "there", shared_url)
    run("restore", archive, **there)
    run("export", tmp_path / "there.zip", **there)

    assert (tmp_path / "there.zip").read_bytes() == archive.read_bytes()


def test_an_archive_of_each_database_is_restored_with_sqlite(
    tmp_path: Path, database_url: str | None
) -> None:
    settings = place(tmp_path / "from", database_url)
    with App(prediction_log=True, **settings) as app:
        fill(app)
        run("export", tmp_path / "from.zip", **settings)
        run("restore", tmp_path / "from.zip", data_dir=tmp_path / "to")
        run("export", tmp_path / "to.zip", data_dir=tmp_path / "to")

        assert (tmp_path / "to.zip").read_bytes() == (tmp_path / "from.zip").read_bytes()
        with App(tmp_path / "to", prediction_log=True) as restored:
            # The rest differs in the microseconds of the promotions, which the other doesn't show.
            assert answers(restored)[4:] == answers(app)[4:]


def test_of_two_versions_of_a_job_the_one_that_it_names_stays_its_own(
    archive: Path, tmp_path: Path, database_url: str | None
) -> None:
    """A trainer that was suspended may have published another one, which never was live."""
    run("restore", archive, data_dir=tmp_path / "from")
    shutil.copy(tmp_path / "from" / "models" / "2.npz", tmp_path / "from" / "models" / "4.npz")
    run("export", tmp_path / "a.zip", data_dir=tmp_path / "from")

    settings = place(tmp_path / "to", database_url)
    run("restore", tmp_path / "a.zip", **settings)

    with App(**settings) as app:
        assert app.services.repository.versions() == [1, 2, 3, 4]
        if isinstance(app.services.repository, SharedRepository):
            version = app.services.repository.version_of_job(1)
            assert version
            assert version.number == 2


def test_a_restored_service_continues(
    archive: Path, tmp_path: Path, database_url: str | None
) -> None:
    """Ids aren't given again, idempotency keys are known, and the running job is tried again."""
    settings = place(tmp_path, database_url)
    run("restore", archive, **settings)

    with App(prediction_log=True, **settings) as app:
        key = {"Idempotency-Key": "B"}
        assert app.expect(202, "POST", "/retrain", {"promote": "always"}, **key)["id"] == 1
        assert app.expect(202, "POST", "/retrain")["id"] == 6
        assert app.expect(201, "POST", "/observations", ROW)["results"][0]["id"] == 8
        log_prediction(app, "r-4")
        assert [row["id"] for row in app.get("/predictions")["predictions"]] == [1, 2, 4]
        lease = acquire_lease(app.services.engine, "another trainer", 30)
        assert lease
        assert (lease.job.id, lease.job.attempt) == (3, 2)


def test_a_place_that_is_not_empty_is_not_changed(
    archive: Path, tmp_path: Path, database_url: str | None
) -> None:
    settings = place(tmp_path / "used", database_url)
    with App(start_empty=True, **settings) as app:
        before = answers_of_new(app)

        refused = invoke("restore", str(archive), **settings)

        assert refused.returncode == 2
        assert refused.stderr.startswith("streetlight: expected an empty ")
        assert answers_of_new(app) == before


def answers_of_new(app: App) -> list[Any]:
    """Return what a new application answers."""
    return [app.get(path) for path in ("/versions", "/observations", "/jobs")]


@pytest.mark.parametrize("name", ["models", "predictions.db"])
def test_part_of_a_data_directory_is_not_empty(
    full: App, archive: Path, tmp_path: Path, name: str
) -> None:
    if name == "models":
        (tmp_path / "models").mkdir()
        shutil.copy(full.data_dir / "models" / "1.npz", tmp_path / "models")
    else:
        shutil.copy(full.data_dir / name, tmp_path)

    refused = invoke("restore", str(archive), data_dir=tmp_path)

    assert refused.returncode == 2
    assert f"got {tmp_path / name};" in refused.stderr
    assert not (tmp_path / "streetlight.db").exists()


def is_empty(data_dir: Path, database_url: str | None) -> bool:
    """Return whether nothing is stored there; locks may be."""
    if database_url:
        engine = create_engine(database_url)
        names = inspect(engine).get_table_names()
        engine.dispose()
        if names:
            return False
    return all(path.suffix == ".lock" for path in data_dir.iterdir())


def member(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a function that changes a member of an archive."""

    def write(archive: Path) -> None:
        with zipfile.ZipFile(archive) as old:
            members = {info.filename: old.read(info) for info in old.infolist()}
        with zipfile.ZipFile(archive, "w") as new:
            for filename, content in members.items():
                new.writestr(filename, change(content) if filename == name else content)

    return write


def manifest(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Return a function that changes the manifest of an archive."""

    def changed(content: bytes) -> bytes:
        fields = json.loads(content)
        change(fields)
        return json.dumps(fields).encode()

    return member("manifest.json", changed)


DAMAGED = "streetlight: the archive is damaged: "


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda archive: archive.write_bytes(archive.read_bytes()[:-1]), DAMAGED),
        (lambda archive: archive.write_bytes(archive.read_bytes()[:5000]), DAMAGED),
        (lambda archive: archive.write_bytes(b""), DAMAGED),
        (
            member("observations.jsonl", lambda rows: rows[: rows.rindex(b"\n", 0, -1) + 1]),
            DAMAGED + "observations.jsonl: expected (7, '",
        ),
        (member("jobs.jsonl", lambda _: b"[1]\n"), DAMAGED + "jobs.jsonl: line 1: state: required"),
        (
            member("observations.jsonl", lambda rows: rows.replace(b", null,", b', "\\u0000",', 1)),
            DAMAGED + "observations.jsonl: line 1: client_id: expected text without NUL ",
        ),
        (
            member("promotions.jsonl", lambda rows: b"[1, NaN, " + rows.split(b", ", 2)[2]),
            DAMAGED + "promotions.jsonl: line 1: at: expected a finite number, got NaN",
        ),
        (
            member("jobs.jsonl", lambda rows: rows.replace(b"[1,", b"[1" + b"0" * 30 + b",", 1)),
            DAMAGED + "jobs.jsonl: line 1: id: expected a number below 9223372036854775808, got 1",
        ),
        (
            manifest(lambda fields: fields["tables"].pop("promotions")),
            DAMAGED + "it has no promotions",
        ),
        (
            manifest(lambda fields: fields["tables"]["promotions"]["columns"].remove("at")),
            DAMAGED + "promotions lacks at",
        ),
        (
            manifest(lambda fields: fields.update(last_prediction=10**30)),
            DAMAGED + "manifest.json: last_prediction: expected a number below 9223372036854775807",
        ),
        (member("predictions.jsonl", lambda rows: rows + b"\n"), DAMAGED + "predictions.jsonl: "),
        (member("versions/2.npz", lambda file: file + b"x"), DAMAGED + "versions/2.npz: expected "),
        (member("manifest.json", lambda _: b"{"), DAMAGED + "manifest.json: Expecting property"),
        (manifest(lambda fields: fields.pop("format")), DAMAGED + "manifest.json: 'format'"),
        (
            manifest(lambda fields: fields.pop("newest")),
            DAMAGED + "manifest.json: newest: required",
        ),
        (
            manifest(lambda fields: fields.update(format=2, release="9.0")),
            "streetlight: the archive has format 2, this release reads format 1; use release 9.0 ",
        ),
        (
            manifest(lambda fields: fields.update(schema=9999)),
            "streetlight: the archive has tables of revision 9999, this release knows those up to ",
        ),
        (
            manifest(lambda fields: fields["tables"]["jobs"]["columns"].append("mood")),
            "streetlight: the archive has columns of jobs that this release doesn't know (mood); ",
        ),
        (
            manifest(lambda fields: fields["tables"].update(moods=fields["tables"]["jobs"])),
            "streetlight: the archive has columns of moods that this release doesn't know (",
        ),
    ],
)
def test_an_archive_that_is_damaged_or_too_new_restores_nothing(
    archive: Path,
    tmp_path: Path,
    database_url: str | None,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    copy, data_dir = tmp_path / "copy.zip", tmp_path / "there"
    shutil.copy(archive, copy)
    damage(copy)

    refused = invoke("restore", str(copy), **place(data_dir, database_url))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(message)
    data_dir.mkdir(exist_ok=True)
    assert is_empty(data_dir, database_url)


def test_hosts_get_no_live_version_that_they_cannot_fetch(
    archive: Path, tmp_path: Path, shared_url: str
) -> None:
    """In a folder, a file may be missing: then the others can go live."""
    run("restore", archive, data_dir=tmp_path)
    live = int((tmp_path / "models" / "live").readlink().stem)
    (tmp_path / "models" / f"{live}.npz").unlink()
    run("export", tmp_path / "a.zip", data_dir=tmp_path)
    run("restore", tmp_path / "a.zip", data_dir=tmp_path / "folder")

    settings = place(tmp_path / "host", shared_url)
    refused = invoke("restore", str(tmp_path / "a.zip"), **settings)

    assert refused.returncode == 2
    assert refused.stderr.startswith(f"streetlight: the archive lacks version {live}, which is ")
    assert is_empty(tmp_path / "host", shared_url)


def test_no_changed_byte_goes_unnoticed(archive: Path, tmp_path: Path) -> None:
    """Each byte that says something is covered by a digest or a checksum."""
    content = archive.read_bytes()
    for position in range(0, len(content), 61):
        changed = tmp_path / "changed.zip"
        changed.write_bytes(
            content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        )
        with changed.open("rb") as file:
            try:
                with ArchiveReader(file) as reader:
                    reader.check()
                    same = read_all(reader)
            except ArchiveError:
                continue
        with archive.open("rb") as file, ArchiveReader(file) as original:
            assert same == read_all(original), position


def read_all(archive: ArchiveReader) -> list[Any]:
    """Return all that an archive contains."""
    rows = [list(archive.batches(name)) for name in archive.manifest.tables]
    return [archive.manifest, rows, *map(archive.version, archive.manifest.versions)]


def test_an_archive_of_an_older_release_gets_defaults(
    archive: Path, tmp_path: Path, database_url: str | None
) -> None:
    """Columns that were added since are missing in it."""
    older = tmp_path / "older.zip"
    shutil.copy(archive, older)

    def without_last(content: bytes) -> bytes:
        rows = [json.loads(line)[:-1] for line in content.splitlines()]
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    member("observations.jsonl", without_last)(older)
    with zipfile.ZipFile(older) as file:
        rows = file.read("observations.jsonl")

    def describe(fields: Any) -> None:
        fields["tables"]["observations"]["columns"].pop()
        fields["tables"]["observations"]["sha256"] = hashlib.sha256(rows).hexdigest()

    manifest(describe)(older)
    settings = place(tmp_path / "there", database_url)

    run("restore", older, **settings)

    with App(**settings) as app:
        observations = app.get("/observations")["observations"]
    assert len(observations) == 7
    assert not any("request_id" in row for row in observations)


def test_a_folder_without_a_database_is_restored_without(tmp_path: Path) -> None:
    run("train", data_dir=tmp_path / "from")

    run("export", tmp_path / "a.zip", data_dir=tmp_path / "from")
    run("restore", tmp_path / "a.zip", data_dir=tmp_path / "to")

    assert not (tmp_path / "to" / "streetlight.db").exists()
    assert run("check", data_dir=tmp_path / "to").stdout.startswith("checked 1 versions")


@pytest.mark.skipif(not databases.POSTGRESQL, reason="needs PostgreSQL")
def test_a_database_that_has_no_versions_yet_is_not_exported(tmp_path: Path) -> None:
    """The folder of a host has those of a release before the tables of versions."""
    with databases.fresh("postgresql") as url:
        with services_in(tmp_path, url):
            pass

        refused = invoke("export", str(tmp_path / "a.zip"), **place(tmp_path, url))

    assert refused.returncode == 2
    assert "the database has no versions yet: start the service first" in refused.stderr


@pytest.mark.process
def test_a_pipe_is_written_and_not_replaced(full: App, archive: Path, tmp_path: Path) -> None:
    """So isn't a device, such as /dev/null, by a superuser."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        run("export", pipe, data_dir=full.data_dir)
        assert pipe.is_fifo()
        assert reader.stdout
        content = zipfile.ZipFile(io.BytesIO(reader.stdout.read()))
    with zipfile.ZipFile(archive) as expected:
        for name in expected.namelist():
            assert content.read(name) == expected.read(name)


def test_a_logged_prediction_is_no_younger_than_the_versions(
    tmp_path: Path, database_url: str | None
) -> None:
    """Its version would be missing, and another one would get the number after a restore."""
    with App(prediction_log=True, **place(tmp_path, database_url)) as app:
        log_prediction(app, "r-1", 1)

        class Busy(io.BytesIO):
            """A file during whose first write a version is trained, goes live and predicts."""

            def write(self, content: Any) -> int:
                if not self.tell():
                    app.expect(202, "POST", "/retrain", {"promote": "always"})
                    app.work()
                    log_prediction(app, "r-2", 2)
                return super().write(content)

        file = Busy()
        write_archive(app.services, file)

    with ArchiveReader(file) as exported:
        assert list(exported.manifest.versions) == [1]
        [rows] = exported.batches("predictions")
        assert [(row["request_id"], row["version"]) for row in rows] == [("r-1", 1)]


def test_nothing_is_not_exported(tmp_path: Path) -> None:
    refused = invoke("export", str(tmp_path / "a.zip"), data_dir=tmp_path / "mistyped")

    assert refused.returncode == 1
    assert refused.stderr == (
        f"streetlight: nothing is stored in {tmp_path / 'mistyped'} and in the database; see "
        "STREETLIGHT_DATA_DIR and STREETLIGHT_DATABASE_URL\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_removed_live_link_is_a_model_that_is_not_loaded(archive: Path, tmp_path: Path) -> None:
    run("restore", archive, data_dir=tmp_path / "from")
    (tmp_path / "from" / "models" / "live").unlink()

    run("export", tmp_path / "a.zip", data_dir=tmp_path / "from")
    run("restore", tmp_path / "a.zip", data_dir=tmp_path / "to")

    assert not (tmp_path / "to" / "models" / "live").exists()
    assert run("check", data_dir=tmp_path / "to").stdout.startswith("checked 3 versions, 6 prom")


def test_an_entry_of_the_promotion_log_without_a_time_is_named(
    archive: Path, tmp_path: Path
) -> None:
    run("restore", archive, data_dir=tmp_path)
    log = tmp_path / "models" / "promotions.jsonl"
    log.write_text(log.read_text().replace('"at": "2', '"at": "on 2', 1))

    refused = invoke("export", str(tmp_path / "a.zip"), data_dir=tmp_path)

    assert refused.returncode == 1
    assert refused.stderr.startswith(
        "streetlight: promotions.jsonl: entry 1: at: Invalid isoformat"
    )
    assert not list(tmp_path.glob("*a.zip*"))


def test_versions_whose_database_is_missing_are_not_exported(archive: Path, tmp_path: Path) -> None:
    run("restore", archive, data_dir=tmp_path)
    (tmp_path / "streetlight.db").unlink()

    refused = invoke("export", str(tmp_path / "a.zip"), data_dir=tmp_path)

    assert refused.returncode == 2
    assert "models/2.npz was trained by a job of a database" in refused.stderr
