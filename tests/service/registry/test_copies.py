"""The copies of versions in the folder of a host: which it fetches, and which it removes."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.inference.version_cache import VersionCache
from streetlight.service.registry.shared_repository import SharedRepository
from tests.service.services import training


def publish(repository: SharedRepository, score: float) -> int:
    """Publish a version with a score of its own, and return its number."""
    version = repository.publish(training(score, 0.0, 1.0), LAB, Provenance("test"))
    return version.number


def test_a_version_that_is_not_copied_yet_answers_by_its_number(
    shared_engine: Engine, tmp_path: Path
) -> None:
    other, here = (SharedRepository(tmp_path / name, shared_engine) for name in "ab")
    publish(other, 1.0)
    here.follow()
    number = publish(other, 0.5)
    assert VersionCache(here).load(number).network.scores(LAB.lights)[0] == 1.5


def test_a_damaged_copy_may_be_removed_by_another_process(
    shared_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = SharedRepository(tmp_path, shared_engine)
    repository.promote(publish(repository, 1.0))
    damaged = repository.path(1)
    damaged.write_bytes(b"damaged")

    def lose(path: Path) -> bytes:
        path.unlink()
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_bytes", lose)
    with pytest.raises(VersionDamagedError):
        SharedRepository(tmp_path, shared_engine).live()
    assert not damaged.exists()


def test_a_number_without_a_version_is_looked_up_and_nothing_is_copied(
    shared_engine: Engine, tmp_path: Path
) -> None:
    repository = SharedRepository(tmp_path, shared_engine)
    for _ in range(3):
        repository.promote(publish(repository, 1.0))
    with shared_engine.begin() as connection:
        connection.execute(text("DELETE FROM versions WHERE number = 2"))
    repository.path(2).unlink()
    log = repository.folder / "promotions.jsonl"
    before = log.stat().st_mtime_ns

    for number in (2, 4):  # one that was removed, and one that another host may have published
        with pytest.raises(VersionNotFoundError):
            repository.load(number)
    assert log.stat().st_mtime_ns == before


def test_a_number_that_comes_again_is_copied_again(shared_engine: Engine, tmp_path: Path) -> None:
    repository = SharedRepository(tmp_path, shared_engine)
    publish(repository, 1.0)
    number = publish(repository, 0.5)
    repository.follow()
    lost = repository.path(number)
    # What a failover loses, and what another host publishes before this one is back.
    with shared_engine.begin() as connection:
        connection.execute(text("DELETE FROM versions WHERE number = :number"), {"number": number})
    other = SharedRepository(tmp_path / "other", shared_engine)
    assert publish(other, 0.25) == number

    repository.follow()
    assert not lost.exists()
    assert repository.path(number).read_bytes() == other.path(number).read_bytes()
