"""The repository: numbers, the live link, the record, and what happens when files go bad."""

import io
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streetlight.model.dataset import LAB, LAB_DIRECT
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.promotion_log import PromotionLog
from streetlight.model.registry.repository import (
    ModelRepository,
    NothingToRollBackToError,
    VersionNotFoundError,
)
from streetlight.model.registry.reproduction import main as replay_main
from streetlight.model.registry.reproduction import reproduce
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import fit
from tests.model.registry.publishing import publish

TRAINING = fit(LAB, Recipe())


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "models")


def test_a_version_brings_back_everything(repository: ModelRepository) -> None:
    training = fit(LAB_DIRECT, Recipe(hidden_sizes=(8, 4), iterations=200))
    version = repository.publish(training, LAB_DIRECT, Provenance("corner.csv", parent=7))

    loaded = ModelRepository(repository.folder).load(1)

    manifest = loaded.manifest
    assert manifest == version.manifest
    assert (manifest.version, manifest.parent, manifest.dataset) == (1, 7, "corner.csv")
    assert (manifest.rows, manifest.conflicts, manifest.lights) == (6, 0, 3)
    assert (manifest.recipe, manifest.seed) == (training.recipe, training.seed)
    assert (manifest.error, manifest.accuracy) == (training.error, 1.0)
    assert manifest.numpy == np.__version__
    assert loaded.errors.tobytes() == training.errors.tobytes()
    assert loaded.dataset().lights.tobytes() == LAB_DIRECT.lights.tobytes()
    assert loaded.dataset().counts.tolist() == [1] * 6
    for one, other in zip(loaded.network.weights, training.network.weights, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_version_is_a_plain_npz_without_pickle(repository: ModelRepository) -> None:
    publish(repository, TRAINING)

    with np.load(repository.path(1), allow_pickle=False) as file:
        assert file["weights_0_1"].shape == (3, 4)
        assert file["weights_1_2"].shape == (4, 1)
        assert json.loads(str(file["manifest"]))["version"] == 1


def test_without_a_version_nothing_is_live(repository: ModelRepository) -> None:
    assert repository.live() is None
    assert repository.live_number() is None
    assert repository.versions() == []
    assert repository.history() == []
    with pytest.raises(VersionNotFoundError, match="no version 1; there is none yet"):
        repository.load(1)
    with pytest.raises(VersionNotFoundError):
        repository.promote(1)
    with pytest.raises(NothingToRollBackToError):
        repository.rollback()


def test_the_link_can_be_read_by_a_person(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1, "first")

    assert (repository.folder / "live").readlink() == Path("1.npz")
    [promotion] = repository.history()
    assert (promotion.action, promotion.version, promotion.instead_of, promotion.reason) == (
        "promote",
        1,
        None,
        "first",
    )


def test_promotions_and_rollbacks_step_back_and_forth(repository: ModelRepository) -> None:
    for _ in range(4):
        publish(repository, TRAINING)
    for number in (1, 2, 3):
        repository.promote(number)

    assert repository.rollback().version == 2
    repository.promote(4)
    assert repository.rollback().version == 2
    assert repository.rollback().version == 1
    with pytest.raises(NothingToRollBackToError, match="no other version was live before"):
        repository.rollback()
    assert repository.live_number() == 1


def test_promoting_what_is_live_does_not_turn_rollback_into_nothing(
    repository: ModelRepository,
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(1)
    repository.promote(2)

    assert repository.promote(2) is None
    assert repository.rollback().version == 1


def test_a_promotion_is_seen_by_others_at_once_however_quick(repository: ModelRepository) -> None:
    """The link is read by name: times and inodes can look the same after two quick changes."""
    other = ModelRepository(repository.folder)
    for _ in range(2):
        publish(repository, TRAINING)
    for number in [1, 2] * 50:
        repository.promote(number)
        live = other.live()
        assert live is not None
        assert live.number == number


def test_a_version_that_is_held_is_not_read_again(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1)

    assert repository.live() is repository.live()


def test_a_number_is_never_given_twice(repository: ModelRepository) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(2)
    repository.promote(1)
    repository.path(2).unlink()

    assert publish(repository, TRAINING).number == 3


def test_leftovers_of_a_killed_publisher_are_removed(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    leftover = repository.folder / ".new-abc"
    leftover.write_bytes(b"half")

    publish(repository, TRAINING)

    assert not leftover.exists()
    assert repository.versions() == [1, 2]


def point_past_the_record(repository: ModelRepository, number: int) -> None:
    """Do what a promotion does before it dies: move the link, and write nothing down."""
    beside = repository.folder / ".live-new"
    beside.symlink_to(f"{number}.npz")
    beside.replace(repository.folder / "live")


def test_a_promotion_that_a_crash_kept_off_the_record_is_recovered(
    repository: ModelRepository,
) -> None:
    for _ in range(3):
        publish(repository, TRAINING)
    repository.promote(1)
    point_past_the_record(repository, 2)

    repository.promote(3)

    actions = [(line.action, line.version, line.instead_of) for line in repository.history()]
    assert actions == [("promote", 1, None), ("recover", 2, 1), ("promote", 3, 2)]
    assert [repository.rollback().version for _ in range(2)] == [2, 1]


def test_a_rollback_that_a_crash_kept_off_the_record_does_not_lead_back(
    repository: ModelRepository,
) -> None:
    for _ in range(3):
        publish(repository, TRAINING)
        repository.promote(repository.versions()[-1])
    point_past_the_record(repository, 2)

    assert repository.rollback().version == 1


def test_a_line_that_a_crash_cut_short_does_not_count(repository: ModelRepository) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(1)
    record = repository.folder / "promotions.jsonl"
    with record.open("a") as file:
        file.write('{"at": "2026-')

    assert len(repository.history()) == 1
    repository.promote(2)
    assert [line.version for line in repository.history()] == [1, 2]


def test_what_can_not_be_put_on_record_does_not_happen(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(PromotionLog, "append", full)
        with pytest.raises(OSError, match="No space"):
            repository.promote(1)
    assert repository.live_number() is None
    repository.promote(1)
    with monkeypatch.context() as patch:
        patch.setattr(PromotionLog, "append", full)
        with pytest.raises(OSError, match="No space"):
            repository.promote(2)
    assert repository.live_number() == 1


def test_a_publication_that_fails_leaves_nothing(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            publish(repository, TRAINING)

    assert [path.name for path in repository.folder.iterdir()] == [".publish.lock"]
    assert publish(repository, TRAINING).number == 1


def rewrite(path: Path, **members: object) -> None:
    """Change or (with None) drop members of an `.npz`."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays |= {name: np.asarray(value) for name, value in members.items() if value is not None}
    for name in [name for name, value in members.items() if value is None]:
        del arrays[name]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.unlink()
    path.write_bytes(buffer.getvalue())


def manifest_with(repository: ModelRepository, **fields: object) -> str:
    return json.dumps(asdict(repository.load(1).manifest) | fields)


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"weights_0_1": None}, "weights_0_1"),
        ({"weights_0_1": np.ones((3, 4), dtype=np.float32)}, "weights_0_1: expected float64"),
        ({"weights_0_1": np.ones((3, 5))}, "chain"),
        ({"weights_0_1": np.full((3, 4), np.nan)}, "finite weights"),
        ({"weights_0_1": np.ones((3, 4))}, "sha256"),
        ({"scale": 2.0}, "sha256"),
        ({"scale": [1.0, 2.0]}, "1.npz"),
        ({"manifest": "{}"}, "manifest format 1, got None"),
        ({"manifest": "[1]"}, "manifest format 1, got"),
        ({"manifest": "no json"}, "Expecting value"),
        ({"manifest": {"format": 99}}, "manifest format 1, got 99"),
        ({"manifest": {"surprise": 1}}, "surprise"),
        ({"manifest": {"lights": 4}}, "its manifest says otherwise"),
        ({"manifest": {"version": 5}}, "it holds version 5"),
        ({"manifest": {"recipe": {"alpha": -1}}}, "alpha: expected"),
    ],
)
def test_a_version_that_is_not_whole_is_refused(
    repository: ModelRepository, members: dict[str, object], complaint: str
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(2)
    if isinstance(fields := members.get("manifest"), dict):
        members = {"manifest": manifest_with(repository, **fields)}
    rewrite(repository.path(1), **members)

    with pytest.raises(VersionDamagedError, match=complaint):
        repository.promote(1)

    assert repository.live_number() == 2


@given(st.sampled_from(["cut", "flip", "blank", "repeat"]), st.floats(0, 1, exclude_max=True))
def test_no_damage_to_a_file_goes_unnoticed_or_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, damage: str, where: float
) -> None:
    """Whatever is cut, flipped, blanked or repeated: what loads is the network as published."""
    repository = ModelRepository(tmp_path_factory.mktemp("damage"))
    path = publish(repository, TRAINING).path
    whole = path.read_bytes()
    at = int(where * len(whole))
    damaged = {
        "cut": whole[:at],
        "flip": whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :],
        "blank": whole[:at] + bytes(16) + whole[at + 16 :],
        "repeat": whole + whole[:at],
    }[damage]
    path.unlink()
    path.write_bytes(damaged)

    try:
        version = repository.load(1)
    except VersionDamagedError as error:
        assert "1.npz" in str(error)  # noqa: PT017 - some damage is to padding, and harmless
    else:
        assert version.network.scores(LAB.lights).tobytes() == (
            TRAINING.network.scores(LAB.lights).tobytes()
        )


def test_files_that_are_no_npz_at_all_are_refused(repository: ModelRepository) -> None:
    repository.folder.mkdir()
    np.save(repository.folder / "1.npy", np.ones(3))
    (repository.folder / "1.npy").rename(repository.path(1))
    repository.path(2).write_bytes(b"")
    with zipfile.ZipFile(repository.path(3), "w") as archive:
        archive.writestr("readme.txt", "not a model")
    np.savez(repository.path(4), manifest=np.array([{}], dtype=object))

    for number in (1, 2, 3, 4):
        with pytest.raises(VersionDamagedError, match=f"{number}.npz"):
            repository.load(number)


def test_a_link_to_a_damaged_version_is_named(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1)
    repository.path(1).unlink()
    repository.path(1).write_bytes(b"rubbish")

    with pytest.raises(VersionDamagedError, match=r"1\.npz"):
        ModelRepository(repository.folder).live()


def test_a_link_to_something_else_is_named(repository: ModelRepository) -> None:
    repository.folder.mkdir()
    (repository.folder / "live").symlink_to("elsewhere")

    with pytest.raises(VersionDamagedError, match="it points to elsewhere"):
        repository.live()


def test_a_version_can_be_trained_again_to_the_bit(
    repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    version = publish(repository, fit(LAB, Recipe(seed=2, weight_decay=0.001, iterations=100)))

    result = reproduce(version)

    assert result.identical
    assert result.differs == []
    assert replay_main([str(version.path)]) == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True


def test_a_version_that_its_file_does_not_explain_is_found_out(
    repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(repository, TRAINING)
    rewrite(repository.path(1), walk_vs_stop=1 - LAB.walk_vs_stop)

    result = reproduce(repository.load(1))

    assert not result.identical
    assert set(result.differs) >= {"weights_0_1", "weights_1_2", "errors"}
    rewrite(repository.path(1), walk_vs_stop=None)
    assert replay_main([str(repository.path(1))]) == 1
    assert "walk_vs_stop" in capsys.readouterr().err


def test_a_version_that_diverges_when_trained_again_is_damaged(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    wild = {"hidden_sizes": [], "alpha": 50.0, "iterations": 3000, "restarts": 0}
    with np.load(repository.path(1)) as file:
        manifest = json.loads(str(file["manifest"]))
    version = repository.load(1)
    manifest["recipe"] |= wild | {"hidden_sizes": [4], "activation": "linear"}
    broken = Version(
        version.path, type(version.manifest).from_json(json.dumps(manifest)), version.network
    )

    with pytest.raises(VersionDamagedError, match="trained again, it diverged"):
        reproduce(broken)


class RepositoryMachine(RuleBasedStateMachine):
    """Any sequence of calls, by two processes' worth of objects, against a plain model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.repositories = [ModelRepository(self.folder), ModelRepository(self.folder)]
        self.versions = 0
        self.live_history: list[int] = []

    who = st.integers(0, 1)

    @rule(who=who)
    def publish(self, who: int) -> None:
        self.versions += 1
        assert publish(self.repositories[who], TRAINING).number == self.versions

    @rule(who=who, number=st.integers(1, 8))
    def promote(self, who: int, number: int) -> None:
        if number > self.versions:
            with pytest.raises(VersionNotFoundError):
                self.repositories[who].promote(number)
            return
        promotion = self.repositories[who].promote(number)
        already = self.live_history[-1:] == [number]
        assert (promotion is None) == already
        if not already:
            self.live_history.append(number)

    @rule(who=who)
    @precondition(lambda self: len(self.live_history) > 1)
    def rollback(self, who: int) -> None:
        was = self.live_history.pop()
        promotion = self.repositories[who].rollback()
        assert (promotion.version, promotion.instead_of) == (self.live_history[-1], was)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @invariant()
    def all_agree(self) -> None:
        for repository in self.repositories:
            live = repository.live()
            assert self.live_history[-1:] == ([live.number] if live else [])
            assert repository.versions() == list(range(1, self.versions + 1))


TestAnySequenceOfCalls = RepositoryMachine.TestCase
TestAnySequenceOfCalls.settings = settings(deadline=None, max_examples=15, stateful_step_count=20)


def test_what_is_unloaded_answers_again_when_it_is_reloaded(repository: ModelRepository) -> None:
    for _ in range(2):
        repository.promote(publish(repository, TRAINING).number)
    assert repository.previous_number() == 1

    assert repository.unload("by hand") is not None
    assert repository.live() is None
    assert repository.unload() is None
    assert repository.reload("again") == 2
    assert repository.reload() == 2
    assert [line.action for line in repository.history()] == [
        "promote",
        "promote",
        "unload",
        "promote",
    ]
    assert repository.rollback().version == 1


def test_a_rollback_after_an_unload_goes_to_the_version_before(repository: ModelRepository) -> None:
    for _ in range(2):
        repository.promote(publish(repository, TRAINING).number)
    repository.unload()

    assert repository.rollback().version == 1
    with pytest.raises(NothingToRollBackToError):
        repository.rollback()


def test_there_is_nothing_to_reload_without_a_version(repository: ModelRepository) -> None:
    with pytest.raises(VersionNotFoundError, match="none yet"):
        repository.reload()
    assert repository.unload() is None
    assert repository.previous_number() is None
