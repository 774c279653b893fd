"""Tests of the versions requested by number: which are read again, and which stay in memory."""

from collections import Counter
from pathlib import Path

import pytest

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.version_cache import VersionCache, estimate_bytes
from tests.client import App
from tests.service.services import training


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each version is read from its file."""
    counter: Counter[int] = Counter()
    load = ModelRepository.load

    def counting(self: ModelRepository, number: int) -> Version:
        counter[number] += 1
        return load(self, number)

    monkeypatch.setattr(ModelRepository, "load", counting)
    return counter


def publish(repository: ModelRepository, count: int) -> None:
    for _ in range(count):
        repository.publish(training(1.0, 0.0, 1.0), LAB, Provenance("test"))


def test_ten_versions_in_turn_are_read_once(app: App, loads: Counter[int]) -> None:
    publish(app.services.repository, 9)
    loads.clear()

    for _ in range(2):
        for number in range(1, 11):
            path = f"/v1/models/streetlight/versions/{number}:predict"
            assert app.post(path, {"instances": [[1, 0, 1]]})["predictions"]
        assert len(app.post("/v2/repository/index")) == 10
    assert loads == dict.fromkeys(range(1, 11), 1)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """A repository with four versions of the same size."""
    repository = ModelRepository(tmp_path)
    publish(repository, 4)
    return repository


@pytest.fixture
def cache(repository: ModelRepository) -> VersionCache:
    """A cache with room for two of the versions."""
    return VersionCache(repository, 2 * estimate_bytes(repository.load(1)))


def test_the_least_recently_used_version_is_dropped(
    cache: VersionCache, loads: Counter[int]
) -> None:
    for number in (1, 2, 1, 3, 1, 2):
        assert cache.load(number).number == number
    assert loads == {1: 1, 2: 2, 3: 1}


def test_a_check_drops_no_version(cache: VersionCache, loads: Counter[int]) -> None:
    cache.load(1)
    for number in (2, 3, 4, 1):  # there is room for version 2
        cache.check(number)
    cache.load(1)
    cache.load(2)
    assert loads == {1: 1, 2: 1, 3: 1, 4: 1}
    cache.check(1)  # this doesn't count as a use
    cache.load(3)
    cache.load(2)
    assert loads == {1: 1, 2: 1, 3: 2, 4: 1}


def test_a_version_larger_than_the_cache_is_not_held(
    repository: ModelRepository, loads: Counter[int]
) -> None:
    size = estimate_bytes(repository.load(1))
    loads.clear()
    cache = VersionCache(repository, size - 1)
    for _ in range(3):
        assert cache.load(1).number == 1
    assert loads == {1: 3}
    for _ in range(3):
        assert [cache.check(number).version for number in (1, 2)] == [1, 2]
    assert loads == {1: 3, 2: 1}


def test_a_replaced_file_is_read_again(
    repository: ModelRepository, cache: VersionCache, loads: Counter[int]
) -> None:
    cache.load(1)
    cache.load(2)
    path = repository.path(1)
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    for number in (1, 2, 1):
        cache.load(number)
    assert loads == {1: 2, 2: 1}
    path.unlink()
    with pytest.raises(VersionNotFoundError, match="no version 1"):
        cache.load(1)


def test_a_damaged_file_is_read_once_until_it_is_replaced(app: App, loads: Counter[int]) -> None:
    path = app.services.repository.path(1)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:100])
    loads.clear()

    for _ in range(3):
        assert "1.npz" in app.get("/versions")["versions"][0]["damaged"]
        assert app.post("/v2/repository/index")[0]["state"] == "UNAVAILABLE"
    assert loads == {1: 1}
    copy = path.with_name("copy")
    copy.write_bytes(content)
    copy.replace(path)
    assert app.get("/versions")["versions"][0]["dataset"] == "four"


def test_a_file_that_could_not_be_read_is_read_again(
    cache: VersionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("streetlight.model.registry.version.ZipFile", fail)
        with pytest.raises(VersionDamagedError, match="Too many open files"):
            cache.load(1)
    assert cache.load(1).number == 1
