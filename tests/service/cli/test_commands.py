"""Tests of the commands that use the data directory without a server."""

import sys
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training.fit import fit
from tests.client import invoke


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    repository = ModelRepository(tmp_path / "models")
    for seed in (1, 5):
        version = repository.publish(fit(LAB, Recipe(seed=seed)), LAB, Provenance("lab"))
        repository.promote(version.number, "trained")
    return tmp_path


def test_predict_prints_the_decision(trained: Path) -> None:
    run = invoke("predict", "0", "0", "1", data_dir=trained)

    assert run.returncode == 0
    assert run.stdout.startswith("stop  score 0.0")
    assert run.stdout.endswith("version 2\n")
    assert invoke("predict", "-1", "0", "1", data_dir=trained).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "1", "0"), "lights: version 2 expects 3 lights, got 2"),
        (("promote", "9"), "no version 9; existing versions: 1, 2"),
        (("verify", "9"), "no version 9; existing versions: 1, 2"),
    ],
)
def test_a_failed_request_exits_with_status_1(
    trained: Path, arguments: tuple[str, ...], message: str
) -> None:
    run = invoke(*arguments, data_dir=trained)

    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"streetlight: {message}\n")


def test_commands_without_a_version_print_a_message(tmp_path: Path) -> None:
    assert "no version is live" in invoke("predict", "1", data_dir=tmp_path).stderr
    assert "no version yet" in invoke("versions", data_dir=tmp_path).stdout
    assert "nothing to roll back to" in invoke("rollback", data_dir=tmp_path).stderr


def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "streetlight.service.store.postgresql", raising=False)
    monkeypatch.delattr("streetlight.service.store.postgresql", raising=False)

    run = invoke("check", data_dir=tmp_path, database_url="postgresql+psycopg://host/ledger")

    assert run.returncode == 2
    assert run.stderr.startswith("streetlight: STREETLIGHT_DATABASE_URL: ")
    assert "pip install --require-hashes -r requirements-postgresql.lock" in run.stderr


def test_an_unusable_path_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"")

    run = invoke("predict", "1", "0", "1", data_dir=tmp_path)

    assert run.returncode == 2
    assert run.stderr == f"streetlight: {tmp_path}/models/live: Not a directory\n"


def test_lights_must_be_numbers(trained: Path) -> None:
    run = invoke("predict", "on", "0", "1", data_dir=trained)

    assert run.returncode == 2
    assert "'on' is not a valid float" in run.stderr


def test_promote_and_rollback_print_the_replaced_version(trained: Path) -> None:
    def output(*arguments: str) -> str:
        return invoke(*arguments, data_dir=trained).stdout

    assert output("promote", "1") == "version 1 is live instead of version 2\n"
    assert output("promote", "1") == "version 1 is live already\n"
    assert output("rollback") == "version 2 is live instead of version 1\n"


def test_versions_marks_the_live_version(trained: Path) -> None:
    damaged = trained / "models" / "1.npz"
    damaged.unlink()
    damaged.write_bytes(b"")

    head, live, other = invoke("versions", data_dir=trained).stdout.splitlines()

    assert head.split() == ["version", "created", "dataset", "rows", "accuracy", "error", "seed"]
    assert live.startswith("*  2 ")
    assert live.split()[-4:-2] == ["4", "100.0%"]
    assert other.startswith("   1        damaged: ")


def test_verify_compares_a_second_training(trained: Path) -> None:
    assert invoke("verify", "2", data_dir=trained).stdout == ("version 2: identical, bit for bit\n")
    path = trained / "models" / "1.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    path.unlink()
    np.savez(path, **(arrays | {"walk_vs_stop": 1 - arrays["walk_vs_stop"]}))

    run = invoke("verify", "1", data_dir=trained)

    assert run.returncode == 1
    assert "version 1: weights_0_1, weights_1_2, errors" in run.stderr


def test_train_runs_the_training_job(tmp_path: Path) -> None:
    run = invoke("train", "--help", data_dir=tmp_path)

    assert run.returncode == 0
    assert run.stdout.startswith("usage: streetlight train")
    assert "--hidden-sizes" in run.stdout
    assert invoke("train", "--alpha", "x", data_dir=tmp_path).returncode == 2


def test_settings_are_read_from_a_file(
    trained: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / ".env").write_text(f"STREETLIGHT_DATA_DIR={trained}\n")
    monkeypatch.chdir(folder)

    assert "*  2 " in invoke("versions").stdout


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "export STREETLIGHT_API_KYE=hunter2",
            "STREETLIGHT_API_KYE in .env: unknown setting; did you mean STREETLIGHT_API_KEY?",
        ),
        (
            "streetlight_api_kye=",
            "STREETLIGHT_API_KYE in .env: unknown setting; did you mean STREETLIGHT_API_KEY?",
        ),
        (
            "STREETLIGHT_API_KEY",
            "STREETLIGHT_API_KEY in .env: expected STREETLIGHT_API_KEY=VALUE, got no value",
        ),
    ],
)
def test_a_misspelt_setting_in_a_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, error: str
) -> None:
    (tmp_path / ".env").write_text(f"{line}\nGUNICORN_CMD_ARGS=--pid=x\n")
    monkeypatch.chdir(tmp_path)

    run = invoke("serve", host="::1", data_dir=tmp_path)

    assert (run.returncode, run.stderr) == (2, f"streetlight: {error}\n")


def test_a_trainer_to_be_restarted_does_not_start_with_an_invalid_setting() -> None:
    run = invoke("work", "--restart", port="x")

    assert run.returncode == 2
    assert run.stderr.startswith("streetlight: STREETLIGHT_PORT: expected a whole number")


@pytest.mark.parametrize("command", [["promote", "1"], ["rollback"], ["train"]])
def test_a_lock_that_is_held_ends_a_command_with_one_line(
    trained: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    lock, repository = ModelRepository.lock, ModelRepository(trained / "models")
    with lock(repository, "promote"), lock(repository, "publish"):
        monkeypatch.setattr(ModelRepository, "lock", partialmethod(lock, timeout=0.1))
        run = invoke(*command, data_dir=trained)

    assert run.returncode == 1
    name = "publish" if command == ["train"] else "promote"
    assert f": another process has held the lock models/.{name}.lock for 0.1 s; " in run.stderr
    assert "Traceback" not in run.stderr
