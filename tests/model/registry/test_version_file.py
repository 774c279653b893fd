"""Tests of version files: what is checked before, while and after an array is unpacked."""

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from streetlight.model.dataset import LAB, Dataset
from streetlight.model.exam import MAX_EXAM, Exam
from streetlight.model.id_ranges import IdRanges
from streetlight.model.recipe import Recipe
from streetlight.model.registry import version as version_module
from streetlight.model.registry.manifest import Provenance, describe
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.reproduction import reproduce
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import fit

NAMES = ("weights_0_1", "weights_1_2", "weights_2_3")
DATA = ("errors", "lights", "walk_vs_stop", "counts", "exam_lights", "exam_walk_vs_stop")
EXAM = Exam([(5, 7), (9, 9)], Dataset(LAB.lights, LAB.walk_vs_stop))
TRAINING = fit(LAB, Recipe(hidden_sizes=(4, 4), iterations=3, target_error=None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a version with three matrices and an exam."""
    return ModelRepository(tmp_path).publish(TRAINING, LAB, Provenance("lab", exam=EXAM)).path


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a version file."""
    with np.load(path) as file:
        return dict(file)


def replace(path: Path, **arrays: object) -> None:
    """Replace arrays of a version file."""
    present = arrays_of(path)
    path.unlink()
    np.savez_compressed(path, **{**present, **arrays})  # type: ignore[arg-type]


def read_all(path: Path) -> None:
    """Read every array of a version file."""
    version = Version.load(path)
    version.errors  # noqa: B018 - reads the file
    version.dataset()
    version.exam()


@pytest.mark.parametrize("name", ["manifest", "scale", *NAMES, *DATA])
def test_an_array_is_unpacked_only_if_its_size_is_that_of_the_manifest(
    path: Path, name: str
) -> None:
    replace(path, **{name: np.zeros(10_000_000)})
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(VersionDamagedError, match=rf"{name}: expected at most \d+ bytes"):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_header_of_a_larger_array_than_the_file_has_is_refused(path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (2**60,)}
    )
    replace(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"scale.npy": header.getvalue()}).items():
            archive.writestr(name, content)

    with pytest.raises(VersionDamagedError):
        Version.load(path)


def test_a_network_above_the_limit_is_not_read(path: Path) -> None:
    manifest = json.loads(str(arrays_of(path)["manifest"]))
    replace(path, manifest=np.array(json.dumps(manifest | {"lights": 10**7})))

    with pytest.raises(
        VersionDamagedError, match="expected a network of at most 8388608 weights, got 40000020"
    ):
        Version.load(path)


def test_a_network_above_the_limit_is_not_published(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = ModelRepository(path.parent)
    with monkeypatch.context() as patch:
        patch.setattr(version_module, "MAX_WEIGHTS", 31)
        with pytest.raises(ValueError, match="expected a network of at most 31 weights, got 32"):
            repository.publish(TRAINING, LAB, Provenance("lab"))

    assert repository.versions() == [1]
    assert repository.publish(TRAINING, LAB, Provenance("lab")).number == 2


def test_the_largest_network_of_a_recipe_is_below_the_limit() -> None:
    layers = (64, *[1024] * 8)
    weights = sum(a * b for a, b in zip(layers, [*layers[1:], 1], strict=True))
    assert weights < version_module.MAX_WEIGHTS


@pytest.mark.parametrize("name", NAMES)
def test_the_digest_covers_the_last_bit_of_every_weight(path: Path, name: str) -> None:
    weights = arrays_of(path)[name]
    for index in np.ndindex(weights.shape):
        changed = weights.copy()
        changed[index] = np.nextafter(changed[index], np.inf)
        replace(path, **{name: changed})
        with pytest.raises(VersionDamagedError, match="expected a network of sha256"):
            Version.load(path)


@pytest.mark.parametrize("name", ["manifest", "scale", *NAMES, *DATA])
def test_no_array_may_run_code(path: Path, tmp_path: Path, name: str) -> None:
    """A file with pickled objects in place of the array is refused before they are unpickled."""

    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "harm",)

    replace(path, **{name: np.array(Harmful(), dtype=object)})

    with pytest.raises(VersionDamagedError, match="allow_pickle=False"):
        read_all(path)
    assert not (tmp_path / "harm").exists()


def test_the_exam_is_read_as_it_was_written(path: Path) -> None:
    version = Version.load(path)
    exam, record = version.exam(), version.manifest.exam
    assert exam is not None
    assert record is not None
    assert (exam.ids, exam.digest()) == (EXAM.ids, EXAM.digest())
    assert exam.dataset.lights.tobytes() == LAB.lights.tobytes()
    assert (record.observations, record.sha256) == (EXAM.ids, EXAM.digest())
    assert record.right == TRAINING.accuracy * 4
    assert reproduce(version).identical


@pytest.mark.parametrize("name", ["exam_lights", "exam_walk_vs_stop"])
def test_a_changed_row_of_the_exam_is_found(path: Path, name: str) -> None:
    """Also two exchanged rows, with which the network has the same result."""
    rows = arrays_of(path)[name]
    for changed in (1 - rows, rows[[0, 2, 1, 3]]):
        replace(path, **{name: changed})
        result = reproduce(Version.load(path))
        assert (result.identical, result.differs) == (False, ["exam"])


def test_an_exam_above_the_limit_is_not_read(path: Path) -> None:
    manifest = json.loads(str(arrays_of(path)["manifest"]))
    manifest["exam"]["observations"] = [[1, 10**15]]
    replace(path, manifest=json.dumps(manifest))
    with pytest.raises(VersionDamagedError, match=f"exam: expected at most {MAX_EXAM} obs"):
        Version.load(path).exam()


@pytest.mark.parametrize("exam", [5, {"observations": 3}, {"observations": [[1, 2]], "x": 1}])
def test_an_invalid_exam_is_damage(path: Path, exam: object) -> None:
    manifest = json.loads(str(arrays_of(path)["manifest"]))
    replace(path, manifest=json.dumps(manifest | {"exam": exam}))
    with pytest.raises(VersionDamagedError):
        Version.load(path)


@pytest.mark.parametrize(
    "ids", ["ab", [None], [["1", "2"]], [[1.0, 2.0]], [[2, 1]], [[3, 4], [1, 2]], [[0, 1]], 7]
)
@pytest.mark.parametrize("of_exam", [False, True])
def test_invalid_ids_are_damage(path: Path, ids: object, of_exam: bool) -> None:
    """They aren't found only when a job, or a check, uses them."""
    manifest = json.loads(str(arrays_of(path)["manifest"]))
    (manifest["exam"] if of_exam else manifest)["observations"] = ids
    replace(path, manifest=json.dumps(manifest))
    with pytest.raises(VersionDamagedError):
        Version.load(path)


def test_what_a_version_has_learnt_is_known_for_the_ledger_and_the_lab() -> None:
    def learnt(dataset: str, observations: IdRanges | None = None) -> IdRanges | None:
        return describe(TRAINING, LAB, Provenance(dataset, observations=observations)).learnt

    assert learnt("ledger", [(1, 4)]) == [(1, 4)]
    assert learnt("four") == learnt("lab") == []
    assert learnt("rows.csv") is None
