"""Tests of the repository: numbers, the live link, the promotion log and damaged files."""

import fcntl
import io
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streetlight.model.dataset import LAB, LAB_DIRECT, Dataset
from streetlight.model.recipe import Recipe
from streetlight.model.registry import manifest as manifest_module
from streetlight.model.registry.manifest import Provenance, describe
from streetlight.model.registry.promotion_log import PromotionLog
from streetlight.model.registry.repository import (
    ModelRepository,
    NothingToRollBackToError,
    VersionNotFoundError,
)
from streetlight.model.registry.reproduction import DAMAGED, reproduce
from streetlight.model.registry.reproduction import main as reproduce_main
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.registry.version_link import VersionLink
from streetlight.model.training.fit import fit
from tests.model.bits import assert_same_bits
from tests.model.registry.publishing import publish

TRAINING = fit(LAB, Recipe())


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "models")


def test_a_loaded_version_equals_the_published_one(repository: ModelRepository) -> None:
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
    assert_same_bits(loaded.errors, training.errors)
    assert_same_bits(loaded.dataset().lights, LAB_DIRECT.lights)
    assert_same_bits(loaded.dataset().walk_vs_stop, LAB_DIRECT.walk_vs_stop)
    assert_same_bits(loaded.dataset().counts, LAB_DIRECT.counts)
    for matrix, expected in zip(loaded.network.weights, training.network.weights, strict=True):
        assert_same_bits(matrix, expected)


def test_a_version_is_a_readable_npz_without_pickle(repository: ModelRepository) -> None:
    publish(repository, TRAINING)

    assert stat.S_IMODE(repository.path(1).stat().st_mode) == 0o644

    with np.load(repository.path(1), allow_pickle=False) as file:
        assert file["weights_0_1"].shape == (3, 4)
        assert file["weights_1_2"].shape == (4, 1)
        assert json.loads(str(file["manifest"]))["version"] == 1


def test_without_a_version_nothing_is_live(repository: ModelRepository) -> None:
    assert repository.live() is None
    assert repository.live_number() is None
    assert repository.versions() == []
    assert repository.promotions() == []
    with pytest.raises(VersionNotFoundError, match="no version 1; there are no versions yet"):
        repository.load(1)
    with pytest.raises(VersionNotFoundError):
        repository.promote(1)
    with pytest.raises(NothingToRollBackToError):
        repository.rollback()


def test_a_promotion_sets_the_link_and_is_logged(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1, "first")

    assert (repository.folder / "live").readlink() == Path("1.npz")
    [promotion] = repository.promotions()
    assert (promotion.action, promotion.version, promotion.instead_of, promotion.reason) == (
        "promote",
        1,
        None,
        "first",
    )


def test_rollbacks_step_back_through_the_promotion_history(repository: ModelRepository) -> None:
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


def test_promoting_the_live_version_does_not_change_the_history(
    repository: ModelRepository,
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(1)
    repository.promote(2)

    assert repository.promote(2) is None
    assert repository.rollback().version == 1


def test_another_repository_sees_each_promotion_at_once(repository: ModelRepository) -> None:
    """A cache by modification time or inode would miss quick changes."""
    other = ModelRepository(repository.folder)
    for _ in range(2):
        publish(repository, TRAINING)
    for number in [1, 2] * 50:
        repository.promote(number)
        live = other.live()
        assert live is not None
        assert live.number == number


def test_the_live_version_is_cached(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1)

    assert repository.live() is repository.live()


@pytest.mark.parametrize(
    ("promoted", "deleted", "number"),
    [
        ((2, 1), (2,), 3),
        ((2,), (1, 2), 3),
        ((), (1,), 3),
        ((1,), (2,), 3),
        ((), (1, 2), 3),
    ],
)
def test_a_number_is_not_given_again(
    repository: ModelRepository, promoted: tuple[int, ...], deleted: tuple[int, ...], number: int
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    for version in promoted:
        repository.promote(version)
    for version in deleted:
        repository.path(version).unlink()

    assert publish(repository, TRAINING).number == number


@pytest.mark.parametrize("newest", [None, "elsewhere", "1.npz"])
def test_without_a_link_to_the_newest_version_numbers_are_above_files_and_log(
    repository: ModelRepository, newest: str | None
) -> None:
    for _ in range(3):
        publish(repository, TRAINING)
    repository.promote(2)
    for number in (2, 3):
        repository.path(number).unlink()
    (repository.folder / "newest").unlink()
    if newest:
        (repository.folder / "newest").symlink_to(newest)

    assert publish(repository, TRAINING).number == 3
    repository.path(3).unlink()
    assert publish(repository, TRAINING).number == 4


def test_a_crash_before_a_version_is_linked_leaves_its_number_unused(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", crash)
        with pytest.raises(KeyboardInterrupt):
            publish(repository, TRAINING)

    assert repository.versions() == []
    assert publish(repository, TRAINING).number == 2


def test_temporary_files_of_a_killed_publisher_are_removed(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    leftover = repository.folder / ".new-abc"
    leftover.write_bytes(b"half")

    publish(repository, TRAINING)

    assert not leftover.exists()
    assert repository.versions() == [1, 2]


def move_link_without_logging(repository: ModelRepository, number: int) -> None:
    """Move the link as a promotion does that crashes before it writes to the log."""
    new_link = repository.folder / ".live-new"
    new_link.symlink_to(f"{number}.npz")
    new_link.replace(repository.folder / "live")


def test_a_promotion_missing_from_the_log_is_recovered(
    repository: ModelRepository,
) -> None:
    for _ in range(3):
        publish(repository, TRAINING)
    repository.promote(1)
    move_link_without_logging(repository, 2)

    repository.promote(3)

    actions = [(entry.action, entry.version, entry.instead_of) for entry in repository.promotions()]
    assert actions == [("promote", 1, None), ("recover", 2, 1), ("promote", 3, 2)]
    assert [repository.rollback().version for _ in range(2)] == [2, 1]


def test_a_rollback_missing_from_the_log_is_recovered(
    repository: ModelRepository,
) -> None:
    for _ in range(3):
        publish(repository, TRAINING)
        repository.promote(repository.versions()[-1])
    move_link_without_logging(repository, 2)

    assert repository.rollback().version == 1


def test_an_incomplete_line_of_the_log_is_ignored_and_removed(repository: ModelRepository) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(1)
    log = repository.folder / "promotions.jsonl"
    with log.open("a") as file:
        file.write('{"at": "2026-')

    assert len(repository.promotions()) == 1
    repository.promote(2)
    assert [entry.version for entry in repository.promotions()] == [1, 2]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[1]",
        "null",
        "\0" * 4096,
        "\x89PNG\r\n\x1a",
        "\udcff\udcfe",
        "[" * 100_000,
        "9" * 5000,
        '{"version": 2}',
        '{"at": "x", "action": "demote", "version": 2, "instead_of": 1, "reason": ""}',
        '{"at": "x", "action": "promote", "version": "2", "instead_of": 1, "reason": ""}',
        '{"at": "x", "action": "promote", "version": true, "instead_of": 1, "reason": ""}',
        '{"at": "x", "action": "promote", "version": 2, "instead_of": [], "reason": ""}',
        '{"at": "x", "action": "promote", "version": 1000000000, "instead_of": 1, "reason": ""}',
        '{"at": "x", "action": "promote", "version": -2, "instead_of": 1, "reason": ""}',
        '{"at": 3, "action": "promote", "version": 2, "instead_of": 1, "reason": ""}',
        '{"at": "x", "action": "promote", "version": 2, "instead_of": 1, "reason": null}',
        '{"at": "x", "action": ["promote"], "version": 2, "instead_of": 1, "reason": ""}',
    ],
)
def test_a_damaged_line_of_the_log_is_left_out(repository: ModelRepository, line: str) -> None:
    """The next line names the version that was live in between, so a rollback leads there."""
    for _ in range(3):
        repository.promote(publish(repository, TRAINING).number)
    log = repository.folder / "promotions.jsonl"
    first, _, third = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([first, line.encode(errors="surrogateescape"), third, b""]))

    assert [entry.version for entry in repository.promotions()] == [1, 3]
    assert repository.previous_number() == 2
    assert publish(repository, TRAINING).number == 4
    assert repository.promote(4)
    assert [repository.rollback().version for _ in range(3)] == [3, 2, 1]


def test_a_rollback_after_a_damaged_line_is_in_the_history(repository: ModelRepository) -> None:
    for _ in range(3):
        repository.promote(publish(repository, TRAINING).number)
    repository.rollback()
    log = repository.folder / "promotions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:2], b"?\n", lines[3]]))

    assert repository.previous_number() == 1


@pytest.mark.parametrize("content", [None, b"", bytes(4096), b"\x00\xff\n" * 10])
def test_without_a_readable_log_the_live_version_is_logged_again(
    repository: ModelRepository, content: bytes | None
) -> None:
    for _ in range(2):
        repository.promote(publish(repository, TRAINING).number)
    log = repository.folder / "promotions.jsonl"
    log.unlink()
    if content is not None:
        log.write_bytes(content)

    repository.promote(1)

    assert [(entry.action, entry.version) for entry in repository.promotions()] == [
        ("recover", 2),
        ("promote", 1),
    ]


def test_a_promotion_that_cannot_be_logged_is_undone(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(PromotionLog, "append", disk_full)
        with pytest.raises(OSError, match="No space"):
            repository.promote(1)
    assert repository.live_number() is None
    repository.promote(1)
    with monkeypatch.context() as patch:
        patch.setattr(PromotionLog, "append", disk_full)
        with pytest.raises(OSError, match="No space"):
            repository.promote(2)
    assert repository.live_number() == 1


def test_publishing_and_promoting_flush_to_disk(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    repository.promote(publish(repository, TRAINING).number)

    version, *others = flushed
    assert version.startswith(".new-")
    # The links to the newest version, the version and the live link.
    assert others == ["models", "models", "models", "promotions.jsonl"]


def test_a_publication_that_fails_leaves_no_file(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk_full)
        with pytest.raises(OSError, match="No space"):
            publish(repository, TRAINING)

    assert [path.name for path in repository.folder.iterdir()] == [".publish.lock"]
    assert publish(repository, TRAINING).number == 1


def rewrite(path: Path, **members: object) -> None:
    """Replace members of an `.npz`, or remove those that are `None`."""
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
    ("members", "message"),
    [
        ({"weights_0_1": None}, "weights_0_1"),
        ({"weights_0_1": np.ones((3, 4), dtype=np.float32)}, "weights_0_1: expected float64"),
        ({"weights_0_1": np.ones((3, 5))}, "chain"),
        ({"weights_0_1": np.full((3, 4), np.nan)}, "finite weights"),
        ({"weights_0_1": np.ones((3, 4))}, "expected a network of sha256"),
        ({"scale": 2.0}, "expected a network of sha256"),
        ({"scale": [1.0, 2.0]}, "1.npz"),
        ({"manifest": "{}"}, "manifest format 1, got None"),
        ({"manifest": "[1]"}, "manifest format 1, got"),
        ({"manifest": "no json"}, "Expecting value"),
        ({"manifest": {"format": 99}}, "manifest format 1, got 99"),
        ({"manifest": {"surprise": 1}}, "surprise"),
        ({"manifest": {"lights": 4}}, r"expected weights for layers \(4, 4\), got \(3, 4\)"),
        ({"manifest": {"version": 5}}, "expected version 1, got version 5"),
        ({"manifest": {"recipe": {"alpha": -1}}}, "alpha: expected"),
        ({"manifest": {"recipe": {"activation": "linear"}}}, "expected a network of sha256"),
    ],
)
def test_a_damaged_version_is_not_promoted(
    repository: ModelRepository, members: dict[str, object], message: str
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(2)
    if isinstance(fields := members.get("manifest"), dict):
        members = {"manifest": manifest_with(repository, **fields)}
    rewrite(repository.path(1), **members)

    with pytest.raises(VersionDamagedError, match=message):
        repository.promote(1)

    assert repository.live_number() == 2


@given(st.sampled_from(["cut", "flip", "blank", "repeat"]), st.floats(0, 1, exclude_max=True))
def test_a_damaged_file_is_refused_or_loads_the_published_network(
    tmp_path_factory: pytest.TempPathFactory, damage: str, position: float
) -> None:
    """Damage of padding is harmless; of anything else it raises `VersionDamagedError`."""
    repository = ModelRepository(tmp_path_factory.mktemp("damage"))
    path = publish(repository, TRAINING).path
    published = path.read_bytes()
    at = int(position * len(published))
    damaged = {
        "cut": published[:at],
        "flip": published[:at] + bytes([published[at] ^ 0x40]) + published[at + 1 :],
        "blank": published[:at] + bytes(16) + published[at + 16 :],
        "repeat": published + published[:at],
    }[damage]
    path.unlink()
    path.write_bytes(damaged)

    try:
        version = repository.load(1)
    except VersionDamagedError as error:
        assert "1.npz" in str(error)  # noqa: PT017 - not every damage raises
    else:
        for matrix, expected in zip(version.network.weights, TRAINING.network.weights, strict=True):
            assert_same_bits(matrix, expected)


def test_other_files_are_refused_as_versions(repository: ModelRepository) -> None:
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


def test_a_link_to_a_damaged_version_raises_an_error(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1)
    repository.path(1).unlink()
    repository.path(1).write_bytes(b"rubbish")

    with pytest.raises(VersionDamagedError, match=r"1\.npz"):
        ModelRepository(repository.folder).live()


def test_a_link_to_another_file_raises_an_error(repository: ModelRepository) -> None:
    repository.folder.mkdir()
    (repository.folder / "live").symlink_to("elsewhere")

    with pytest.raises(VersionDamagedError, match=r"expected a link to .* 1\.npz, got elsewhere"):
        repository.live()


def put_at(link: Path, target: str | None) -> None:
    """Replace the live link by one to `target`, or by a file."""
    link.unlink()
    if target is None:
        link.write_bytes(b"1.npz")
    else:
        link.symlink_to(target)


# Targets of links that name no version file of the folder; `None` is a file in place of the link.
NONSENSE = [None, "elsewhere", "/etc/passwd", "/etc", ".", "2", "02.npz", "٢.npz", "a/2.npz"]
NONSENSE += ["1000000000.npz"]


@pytest.mark.parametrize(
    ("target", "call"),
    [
        *((target, "promote") for target in [*NONSENSE, "9.npz", "0.npz"]),
        *product(("9.npz", "elsewhere"), ("reload", "rollback", "unload")),
    ],
)
def test_a_link_to_no_version_is_replaced(
    repository: ModelRepository, target: str | None, call: str
) -> None:
    for _ in range(2):
        repository.promote(publish(repository, TRAINING).number)
    put_at(repository.folder / "live", target)
    with pytest.raises((VersionDamagedError, VersionNotFoundError)):
        repository.live()
    named = {"9.npz": 9, "0.npz": 0}.get(target or "")
    assert repository.live_number() == named

    getattr(repository, call)(*[1][: call == "promote"])

    assert repository.live_number() == {"promote": 1, "reload": 2, "rollback": 1}.get(call, named)
    promotions = repository.promotions()[2:]
    assert [entry.instead_of for entry in promotions] == ([] if call == "unload" else [None])


def test_a_version_is_reproduced_bit_for_bit(
    repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    version = publish(repository, fit(LAB, Recipe(seed=2, weight_decay=0.001, iterations=100)))

    result = reproduce(version)

    assert result.identical
    assert result.differs == []
    assert reproduce_main([str(version.path)]) == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True


def test_a_version_with_other_training_data_is_not_reproduced(
    repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(repository, TRAINING)
    rewrite(repository.path(1), walk_vs_stop=1 - LAB.walk_vs_stop)

    result = reproduce(repository.load(1))

    assert not result.identical
    assert set(result.differs) >= {"weights_0_1", "weights_1_2", "errors"}
    rewrite(repository.path(1), walk_vs_stop=None)
    assert reproduce_main([str(repository.path(1))]) == DAMAGED
    assert "walk_vs_stop" in capsys.readouterr().err


def test_a_version_whose_training_diverges_is_damaged(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    diverging = {"alpha": 50.0, "iterations": 3000, "restarts": 0, "activation": "linear"}
    with np.load(repository.path(1)) as file:
        manifest = json.loads(str(file["manifest"]))
    version = repository.load(1)
    manifest["recipe"] |= diverging
    broken = Version(
        version.path, type(version.manifest).from_json(json.dumps(manifest)), version.network
    )

    with pytest.raises(
        VersionDamagedError, match="training version 1 again failed: training diverged"
    ):
        reproduce(broken)


class RepositoryMachine(RuleBasedStateMachine):
    """Compare any sequence of calls on two repositories of one folder with a simple model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.repositories = [ModelRepository(self.folder), ModelRepository(self.folder)]
        self.versions = 0
        self.live_history: list[int] = []
        self.is_live = False

    index = st.integers(0, 1)

    @rule(index=index)
    def publish(self, index: int) -> None:
        self.versions += 1
        assert publish(self.repositories[index], TRAINING).number == self.versions

    @rule(index=index, number=st.integers(1, 8))
    def promote(self, index: int, number: int) -> None:
        if number > self.versions:
            with pytest.raises(VersionNotFoundError):
                self.repositories[index].promote(number)
            return
        promotion = self.repositories[index].promote(number)
        already = self.is_live and self.live_history[-1] == number
        assert (promotion is None) == already
        self.make_live(number)

    def make_live(self, number: int) -> None:
        if self.live_history[-1:] != [number]:
            self.live_history.append(number)
        self.is_live = True

    @rule(index=index)
    def unload(self, index: int) -> None:
        promotion = self.repositories[index].unload()
        assert (promotion is not None) == self.is_live
        self.is_live = False

    @rule(index=index)
    @precondition(lambda self: self.versions)
    def reload(self, index: int) -> None:
        number = self.live_history[-1] if self.live_history else self.versions
        assert self.repositories[index].reload() == number
        self.make_live(number)

    @rule(index=index)
    @precondition(lambda self: len(self.live_history) > 1)
    def rollback(self, index: int) -> None:
        last = self.live_history.pop()
        replaced = last if self.is_live else None
        promotion = self.repositories[index].rollback()
        assert (promotion.version, promotion.instead_of) == (self.live_history[-1], replaced)
        self.is_live = True

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @invariant()
    def all_agree(self) -> None:
        for repository in self.repositories:
            live = repository.live()
            assert (live.number if live else None) == (
                self.live_history[-1] if self.is_live else None
            )
            assert repository.versions() == list(range(1, self.versions + 1))


TestAnySequenceOfCalls = RepositoryMachine.TestCase
TestAnySequenceOfCalls.settings = settings(deadline=None, max_examples=15, stateful_step_count=20)


def test_reload_makes_the_unloaded_version_live(repository: ModelRepository) -> None:
    for _ in range(2):
        repository.promote(publish(repository, TRAINING).number)
    publish(repository, TRAINING)
    assert repository.previous_number() == 1

    assert repository.unload("by hand") is not None
    assert repository.live() is None
    assert repository.unload() is None
    assert repository.reload("again") == 2
    assert repository.reload() == 2
    assert [entry.action for entry in repository.promotions()] == [
        "promote",
        "promote",
        "unload",
        "promote",
    ]
    assert repository.rollback().version == 1


def test_reload_makes_the_newest_version_live_if_none_was_live(repository: ModelRepository) -> None:
    for _ in range(2):
        publish(repository, TRAINING)

    assert repository.reload() == 2
    assert repository.live_number() == 2


def test_a_rollback_after_an_unload_goes_to_the_version_before(repository: ModelRepository) -> None:
    for _ in range(2):
        repository.promote(publish(repository, TRAINING).number)
    repository.unload()

    assert repository.rollback().version == 1
    with pytest.raises(NothingToRollBackToError):
        repository.rollback()


def test_without_a_version_reload_fails_and_unload_does_nothing(
    repository: ModelRepository,
) -> None:
    with pytest.raises(VersionNotFoundError, match="there are no versions yet"):
        repository.reload()
    assert repository.unload() is None
    assert repository.previous_number() is None


def test_a_manifest_describes_the_training_and_its_provenance(repository: ModelRepository) -> None:
    dataset = Dataset(
        np.array([[2.0, 5.0], [5.0, 5.0], [2.0, 5.0]]), np.array([1.0, 0.0, 0.0])
    ).grouped()
    training = fit(dataset, Recipe(seed=3, restarts=2, target_error=0))
    provenance = Provenance("ledger", None, [(1, 2), (5, 5)], 9)
    assert describe(training, dataset, provenance).version == 0

    version = repository.publish(training, dataset, provenance)

    manifest = repository.load(1).manifest
    assert (manifest.off, manifest.on, manifest.conflicts) == (2.0, 5.0, 1)
    assert (manifest.runs, manifest.seed) == (3, training.seed)
    assert [tuple(ids) for ids in manifest.observations or ()] == [(1, 2), (5, 5)]
    assert (manifest.job, manifest.format) == (9, 1)
    check_time(manifest.created_at)
    assert_same_bits(version.dataset().counts, [2, 1])
    assert_same_bits(version.dataset().walk_vs_stop, [0.5, 0.0])


def check_time(at: str) -> None:
    """Check that `at` is the present time in UTC, to the millisecond."""
    found = datetime.fromisoformat(at)
    assert found.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - found) < timedelta(minutes=1)
    assert found.isoformat(timespec="milliseconds") == at


def test_each_change_is_logged_with_its_action_its_reason_and_its_time(
    repository: ModelRepository,
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    repository.promote(1, "first")
    repository.promote(2)
    repository.rollback("worse")
    repository.unload("closed")
    repository.reload("open")

    entries = repository.promotions()
    assert [(entry.action, entry.version, entry.instead_of, entry.reason) for entry in entries] == [
        ("promote", 1, None, "first"),
        ("promote", 2, 1, ""),
        ("rollback", 1, 2, "worse"),
        ("unload", 1, 1, "closed"),
        ("promote", 1, None, "open"),
    ]
    for entry in entries:
        check_time(entry.at)
    assert (repository.folder / "promotions.jsonl").read_text().count("\n") == 5
    repository.promote(2)
    assert repository.rollback().reason == ""
    unloaded = repository.unload()
    assert unloaded is not None
    assert unloaded.reason == ""
    repository.reload()
    assert repository.promotions()[-1].reason == ""


def test_a_rollback_after_a_repeated_promotion_goes_to_the_version_before(
    repository: ModelRepository,
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    for number in (1, 2, 1):
        repository.promote(number)

    assert repository.previous_number() == 2
    assert repository.rollback().version == 2
    assert repository.rollback().version == 1


def test_an_unloaded_version_is_in_the_history_once(repository: ModelRepository) -> None:
    publish(repository, TRAINING)
    repository.promote(1)
    for _ in range(2):
        assert repository.previous_number() is None
        repository.unload()
        repository.reload()

    with pytest.raises(NothingToRollBackToError):
        repository.rollback()


def test_every_change_of_the_live_link_holds_the_promotion_lock(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(repository, TRAINING)
    point, changes = VersionLink.point, []

    def checked_point(link: VersionLink, name: str | None) -> None:
        changes.append(name)
        assert is_locked(repository.folder / ".promote.lock")
        assert not is_locked(repository.folder / ".publish.lock")
        point(link, name)

    monkeypatch.setattr(VersionLink, "point", checked_point)
    repository.promote(1)
    repository.promote(2)
    repository.rollback()
    repository.unload()
    repository.reload()

    assert changes == ["1.npz", "2.npz", "1.npz", None, "1.npz"]
    assert not is_locked(repository.folder / ".promote.lock")


def test_a_complete_version_is_linked_under_the_publication_lock(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, linked = os.link, []

    def checked_link(source: str, target: Path) -> None:
        linked.append(target)
        assert Path(source).parent == repository.folder
        assert Path(source).match(".new-*")
        assert Version.load(Path(source)).number == 1
        assert is_locked(repository.folder / ".publish.lock")
        link(source, target)

    monkeypatch.setattr(os, "link", checked_link)
    publish(repository, TRAINING)

    assert linked == [repository.path(1)]
    assert repository.path(1).stat().st_mode & 0o777 == 0o644
    assert {path.name for path in repository.folder.iterdir()} == {
        *("1.npz", "newest", ".publish.lock")
    }


def is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_the_folder_is_created_with_its_parents(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path / "a" / "b" / "models")

    assert publish(repository, TRAINING).number == 1


def test_the_error_for_an_unknown_version_lists_the_newest_versions(
    repository: ModelRepository,
) -> None:
    for count in range(1, 8):
        publish(repository, TRAINING)
        with pytest.raises(VersionNotFoundError) as error:
            repository.load(99)
        numbers = [int(number) for number in re.findall(r"\d+", str(error.value))]
        assert numbers == [99, *range(max(1, count - 4), count + 1)]
        assert ("…" in str(error.value)) is (count > 5)


def test_a_reproduction_names_the_version_and_both_versions_of_numpy(
    repository: ModelRepository,
) -> None:
    for _ in range(2):
        version = publish(repository, TRAINING)
    older = replace(version, manifest=replace(version.manifest, numpy="1.0"))

    result = reproduce(older)

    assert (result.version, result.numpy) == (2, ("1.0", np.__version__))


def test_a_version_of_release_0_1_is_reproduced_as_that_release_trained(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row counted once, and a run could be the best although it decided a tie walk."""
    once = Dataset(np.vstack([LAB.lights, [0, 1, 0]]), np.append(LAB.walk_vs_stop, 0.5))
    recipe = Recipe(hidden_sizes=(8,), restarts=0)
    training = next(
        run
        for seed in range(100)
        if (run := fit(once, replace(recipe, seed=seed))).error <= 0.01 and run.tied_walks
    )
    training = replace(training, recipe=replace(training.recipe, restarts=20, patience=60))
    counted = replace(once, counts=np.array([1, 1, 1, 1, 2]))
    assert not reproduce(repository.publish(training, counted, Provenance("ledger"))).identical

    monkeypatch.setattr(manifest_module, "THRESHOLD", None)

    assert reproduce(repository.publish(training, counted, Provenance("ledger"))).identical
