"""Tests of the first versions of a database: those of a folder from before there were any rows."""

from pathlib import Path

import pytest
from sqlalchemy import delete

from streetlight.service.config.settings import Settings
from streetlight.service.store.schema import SchemaError
from streetlight.service.store.tables import promotions, versions
from streetlight.service.wiring import build_services, initialize, initialize_ledger
from tests.client import App, invoke


def test_the_promotions_of_a_folder_are_added_with_its_versions(
    tmp_path: Path, shared_url: str
) -> None:
    app = App(tmp_path, database_url=shared_url)
    app.train()
    app.train("--seed", "5")

    with app:
        assert app.get("/versions")["live"] == 2
        promotions = app.services.repository.promotions()
        assert [(entry.version, entry.instead_of) for entry in promotions] == [(1, None), (2, 1)]
        assert app.post("/rollback")["live"] == 1


def test_reasons_that_postgresql_cannot_store_are_changed(tmp_path: Path, shared_url: str) -> None:
    """A folder may have them: a log of an older release, or a reason of the command line."""
    app = App(tmp_path, database_url=shared_url)
    app.train()
    log = tmp_path / "models" / "promotions.jsonl"
    log.write_text(log.read_text().replace("first training", "a\\u0000b\\udcff"))

    with app:
        app.services.repository.unload("c\udcff")
        reasons = [entry.reason for entry in app.services.repository.promotions()]
        assert reasons == ["a\ufffdb\ufffd", "c\ufffd"]


def test_the_first_version_is_the_one_that_a_host_with_sqlite_trains(
    tmp_path: Path, shared_url: str
) -> None:
    shared = Settings(data_dir=tmp_path / "shared", database_url=shared_url)
    services = build_services(shared)
    initialize(services)
    with App(tmp_path / "alone") as app:
        found = [it.repository.load(1).manifest for it in (services, app.services)]
    services.engine.dispose()

    assert found[0].dataset == found[1].dataset
    assert found[0].recipe == found[1].recipe


def test_a_follower_leaves_a_folder_alone_until_its_versions_are_in_the_database(
    tmp_path: Path, shared_url: str
) -> None:
    app = App(tmp_path, database_url=shared_url)
    app.train()
    folder = tmp_path / "models"
    before = {
        path.name: path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.iterdir()
    }
    services = build_services(Settings(data_dir=tmp_path, database_url=shared_url))
    initialize_ledger(services)

    assert services.repository.follow() is None
    assert {
        path.name: path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.iterdir()
    } == before
    services.engine.dispose()


def test_a_folder_beside_other_versions_keeps_its_own(tmp_path: Path, shared_url: str) -> None:
    with App(tmp_path / "a", database_url=shared_url) as app:
        first = app.services.repository.load(1).manifest.sha256
    other = App(tmp_path / "b", database_url=shared_url)
    other.train("--seed", "5")
    other.train("--seed", "6")
    log = (tmp_path / "b" / "models" / "promotions.jsonl").read_bytes()

    with other:
        repository = other.services.repository
        assert repository.versions() == [1]
        live = repository.live()
        assert live is not None
        assert live.manifest.sha256 == first
    folder = tmp_path / "b" / "models"
    assert (folder / "promotions.former.jsonl").read_bytes() == log
    assert (folder / "1.npz").exists()
    assert (folder / "2.npz").exists()


def test_the_labs_version_does_not_take_the_place_of_versions_that_the_ledger_names(
    tmp_path: Path, shared_url: str
) -> None:
    with App(tmp_path / "old", database_url=shared_url) as app:
        app.expect(201, "POST", "/observations", {"lights": [0, 1, 0], "outcome": "stop"})
        with app.services.engine.begin() as connection:
            connection.execute(delete(promotions))
            connection.execute(delete(versions))
    new = tmp_path / "new"
    services = build_services(Settings(data_dir=new, database_url=shared_url))

    with pytest.raises(SchemaError, match="name version 1: first start a host whose"):
        initialize(services)
    assert services.ledger_ready.refusal
    assert services.repository.newest_number() == 0

    assert invoke("train", data_dir=new, database_url=shared_url).returncode == 0
    initialize(services)
    assert services.repository.live_number() == 1
    services.engine.dispose()
