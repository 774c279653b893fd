"""Tests of the versions that hosts share: two folders, each a copy of the same database."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, text, update

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import (
    ModelRepository,
    NothingToRollBackToError,
    VersionNotFoundError,
)
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.version_cache import VersionCache
from streetlight.service.registry import first_version, folder_copy
from streetlight.service.registry.first_version import add_first_version
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.schema import SchemaError
from streetlight.service.store.tables import promotions, versions
from tests import databases
from tests.service.services import training


@pytest.fixture
def here(tmp_path: Path, shared_engine: Engine) -> SharedRepository:
    """The repository of a host."""
    return SharedRepository(tmp_path / "here", shared_engine)


@pytest.fixture
def there(tmp_path: Path, shared_engine: Engine) -> SharedRepository:
    """That of another one."""
    return SharedRepository(tmp_path / "there", shared_engine)


@pytest.fixture(autouse=True)
def compare_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the folder with all rows each time."""
    monkeypatch.setattr(folder_copy, "COMPARE_INTERVAL", -1.0)


def publish(repository: ModelRepository, weight: float = 1.0) -> Version:
    return repository.publish(training(weight, 1.0, 1.0), LAB, Provenance("test"))


def weight(version: Version | None) -> float:
    assert version is not None
    return float(version.network.weights[0][0, 0])


def files(repository: SharedRepository) -> list[str]:
    return sorted(path.name for path in repository.folder.glob("*.npz"))


def test_two_hosts_have_the_same_versions_and_promotions(
    here: SharedRepository, there: SharedRepository
) -> None:
    assert there.follow() is None
    for number in (1, 2, 3):
        assert publish((here, there)[number % 2], number).number == number
    there.promote(1)  # which this host has not copied yet
    here.promote(3, "by hand")
    here.follow()
    there.follow()

    assert files(here) == files(there)
    for repository in (here, there):
        assert repository.versions() == [1, 2, 3]
        assert weight(repository.live()) == 3
        assert [weight(repository.load(number)) for number in (1, 2, 3)] == [1, 2, 3]
        log = [(p.action, p.version, p.instead_of, p.reason) for p in repository.promotions()]
        assert log == [("promote", 1, None, ""), ("promote", 3, 1, "by hand")]
        assert (repository.previous_number(), repository.newest_number()) == (1, 3)
    assert here.promotions() == there.promotions()


def test_a_version_that_another_host_removed_is_not_promoted(
    here: SharedRepository, there: SharedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No host could copy it, and a new host would never be ready."""
    monkeypatch.setattr(folder_copy, "COMPARE_INTERVAL", 10.0)
    for number in (1, 2, 3):
        publish(here, number)
    here.promote(3)
    there.follow()
    with here.transaction() as connection:
        connection.execute(delete(versions).where(versions.c.number == 2))

    with pytest.raises(VersionNotFoundError, match="no version 2; existing versions: 1, 3"):
        there.promote(2)

    there.follow()
    assert weight(there.live()) == 3
    assert len(there.promotions()) == 1


def test_the_changes_are_those_of_a_folder(
    here: SharedRepository, there: SharedRepository, tmp_path: Path
) -> None:
    """The same steps, with a repository in a folder, and with two hosts in turn."""
    folder = ModelRepository(tmp_path / "folder")

    def steps(repositories: list[ModelRepository]) -> Iterator[object]:
        turns = iter(repositories * 20)
        with pytest.raises(NothingToRollBackToError):
            next(turns).rollback()
        with pytest.raises(VersionNotFoundError) as no_version:
            next(turns).reload()
        yield str(no_version.value)
        yield next(turns).unload()
        for number in (1, 2, 3):
            publish(next(turns))
            yield next(turns).promote(number)
        yield next(turns).promote(3)
        for act in ("rollback", "rollback", "unload", "unload", "reload", "reload"):
            yield getattr(next(turns), act)()
        with pytest.raises(NothingToRollBackToError):
            next(turns).rollback()
        with pytest.raises(VersionNotFoundError) as no_version:
            next(turns).promote(4)
        yield str(no_version.value)
        yield next(turns).promote(2)

    def plain(results: Iterator[object]) -> list[object]:
        return [vars(found) | {"at": 0} if hasattr(found, "at") else found for found in results]

    assert plain(steps([here, there])) == plain(steps([folder]))
    here.follow()
    there.follow()
    for repository in (here, there):
        assert repository.live_number() == folder.live_number() == 2
        assert plain(iter(repository.promotions())) == plain(iter(folder.promotions()))


def test_a_number_that_comes_again_is_another_file(
    here: SharedRepository, there: SharedRepository
) -> None:
    """A failover to a standby lost the commits of version 2."""
    for number in (1, 2):
        here.promote(publish(here, number).number)
        there.follow()
    cache = VersionCache(there)
    assert weight(there.live()) == weight(cache.load(2)) == 2
    lost = files(there)
    with here.engine.begin() as connection:
        connection.execute(delete(promotions).where(promotions.c.id == 2))
        connection.execute(delete(versions).where(versions.c.number == 2))
    here.promote(publish(here, 5).number)
    there.follow()

    assert weight(there.live()) == weight(there.load(2)) == weight(cache.load(2)) == 5
    assert there.versions() == [1, 2]
    assert len(files(there)) == 2
    assert files(there) == files(here) != lost


def test_a_version_whose_row_was_removed_leaves_the_folders(
    here: SharedRepository, there: SharedRepository
) -> None:
    for _ in range(3):
        there.promote(publish(here).number)
    with here.engine.begin() as connection:
        connection.execute(delete(versions).where(versions.c.number == 2))
    for repository in (here, there):
        repository.follow()
        assert repository.versions() == [1, 3]
        assert len(files(repository)) == 2


def test_a_damaged_or_removed_copy_is_copied_again(here: SharedRepository) -> None:
    for number in (1, 2):
        here.promote(publish(here, number).number)
    for content in (b"damaged", here.path(1).read_bytes()):
        here.path(2).write_bytes(content)
        with pytest.raises(VersionDamagedError):
            SharedRepository(here.folder, here.engine).live()
        here.follow()
        assert weight(SharedRepository(here.folder, here.engine).live()) == 2
        here.path(2).write_bytes(content)
        assert weight(here.load(2)) == 2
    here.path(2).unlink()
    here.follow()
    assert weight(here.load(2)) == 2


def test_an_unknown_number_is_refused_without_the_database(
    here: SharedRepository,
) -> None:
    publish(here)
    with databases.outage(here.engine.url.render_as_string(hide_password=False)):
        with pytest.raises(VersionNotFoundError, match="no version 7; existing versions: 1"):
            VersionCache(here).load(7)
        assert weight(VersionCache(here).load(1)) == 1


def test_the_row_of_a_live_version_that_is_damaged_is_refused(
    here: SharedRepository, there: SharedRepository, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        here.promote(publish(here).number)
    there.follow()
    live = publish(here, 3).number
    here.promote(live)
    with here.engine.begin() as connection:
        connection.execute(update(versions).where(versions.c.number == live).values(file=b"x"))
    with pytest.raises(VersionDamagedError, match="version 3: expected the file with the SHA-256"):
        there.follow()
    assert there.live_number() == 2
    # Another version can still go live everywhere, and the other rows are copied.
    here.promote(1)
    with caplog.at_level(logging.WARNING):
        there.follow()
    assert there.live_number() == 1
    assert "not copied: version 3" in caplog.text


@pytest.mark.parametrize("new_host", [False, True])
def test_a_database_without_the_versions_of_the_copies_is_refused(
    here: SharedRepository, there: SharedRepository, new_host: bool
) -> None:
    here.promote(publish(here).number)
    before = {path.name: path.read_bytes() for path in here.folder.iterdir()}
    with here.engine.begin() as connection:
        connection.execute(text("TRUNCATE versions, promotions"))
    if new_host:
        add_first_version(there)

    for act in (here.follow, lambda: add_first_version(here)):
        with pytest.raises(SchemaError, match="none of the 1 versions of which here/ has copies"):
            act()
    assert {path.name: path.read_bytes() for path in here.folder.iterdir()} == before
    assert here.newest_number() == new_host


def test_three_first_starts_at_once_train_one_version(
    here: SharedRepository, there: SharedRepository, tmp_path: Path
) -> None:
    third = SharedRepository(tmp_path / "third", here.engine)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(add_first_version, [here, there, third]))
    for repository in (here, there, third):
        assert repository.versions() == [1]
        assert repository.live_number() == 1
        [promotion] = repository.promotions()
        assert promotion.reason == "first training"


def test_the_versions_of_a_folder_are_added_once(
    here: SharedRepository, there: SharedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their files, the damaged one too, the log, and a promotion that a crash kept out of it."""
    former = ModelRepository(here.folder)
    for number in (1, 2, 3):
        former.promote(publish(former, number).number)
    former._link.point("2.npz")
    former.path(1).write_bytes(b"damaged")
    contents = [former.path(number).read_bytes() for number in (1, 2, 3)]
    monkeypatch.setattr(first_version, "_train", None)

    for repository in (here, there, here):
        add_first_version(repository)
        assert [repository.path(number).read_bytes() for number in (1, 2, 3)] == contents
        assert weight(repository.live()) == 2
        actions = [(p.action, p.version) for p in repository.promotions()]
        assert actions == [("promote", 1), ("promote", 2), ("promote", 3), ("recover", 2)]
        with pytest.raises(VersionDamagedError):
            repository.load(1)
    assert here.newest_number() == 3
    assert former.versions() == [1, 2, 3]


def test_a_version_that_is_added_keeps_the_job_that_the_database_has(
    here: SharedRepository,
) -> None:
    """Version 2 is of job 7, version 3 of job 8, which was interrupted; job 1 is of no database."""
    former = ModelRepository(here.folder)
    for job in (1, 7, 8, 8):
        former.publish(training(1.0, 1.0, 1.0), LAB, Provenance("test", job=job))
    with here.engine.begin() as connection:
        for number, state, version in ((7, "succeeded", 2), (8, "running", None)):
            connection.execute(
                text(
                    'INSERT INTO jobs (id, state, "order", trigger, submitted_at, version) '
                    "VALUES (:id, :state, '{}', 'api', 0, :version)"
                ),
                {"id": number, "state": state, "version": version},
            )
    add_first_version(here)
    with here.engine.connect() as connection:
        found = connection.execute(text("SELECT number, job FROM versions ORDER BY number")).all()
    assert [tuple(row) for row in found] == [(1, None), (2, 7), (3, 8), (4, None)]


@pytest.mark.parametrize("replaced", [b"", b"1.npz", None])
def test_a_live_link_that_is_lost_is_made_again(
    here: SharedRepository, replaced: bytes | None
) -> None:
    here.promote(publish(here).number)
    link = here.folder / "live"
    link.unlink()
    if replaced is not None:
        link.write_bytes(replaced)
    here.follow()
    assert weight(here.live()) == 1
    here.unload()
    assert here.live() is None


def test_a_host_with_a_full_disk_keeps_its_live_version(
    here: SharedRepository, there: SharedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.promote(publish(here).number)
    there.follow()
    publish(here, 2)

    def disk_full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    here.promote(2)
    with pytest.raises(OSError, match="No space left"):
        there.follow()
    assert weight(there.live()) == 1
    assert list(there.folder.glob(".new-*")) == []
    monkeypatch.undo()
    there.follow()
    assert weight(there.live()) == 2
