"""Tests of the command `python -m streetlight.model`."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from streetlight.model import csv_io
from streetlight.model.dataset import FORMER_NAMES, LAB, LAB_DIRECT, Dataset
from streetlight.model.recipe import Recipe
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training_job import main
from tests.client import Run

COMMAND = "python -m streetlight.model"


@pytest.fixture
def job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """Return a function that runs the command in this process and in the folder `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(*options: str) -> Run:
        try:
            status = main(options, COMMAND)
        except SystemExit as error:
            status = int(error.code or 0)
        output = capsys.readouterr()
        return Run(status, output.out, output.err)

    return run


@pytest.mark.process
def test_without_options_the_lab_s_network_is_trained_and_promoted(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "streetlight.model"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 0
    assert "iteration 60/60  seed 1  error 1.50556226651e-05" in run.stderr
    assert run.stderr.count("\n") == 6
    assert "accuracy  100.0% of 4 observations" in run.stdout
    assert "0 1 1                     walk     walk      0.998553" in run.stdout
    assert run.stdout.endswith("published version 1: models/1.npz\nversion 1 is live\n")
    assert ModelRepository(tmp_path / "models").live_number() == 1


def test_every_field_of_the_recipe_is_an_option(job: Callable[..., Run], tmp_path: Path) -> None:
    run = job(
        *("--hidden-sizes", "8,4", "--alpha", "0.1", "--iterations", "400", "--batch-size", "2"),
        *("--seed", "3", "--restarts", "9", "--target-error", "1.5", "--patience", "50"),
        *("--weight-decay", "0.0001", "--l1-penalty", "0.0002", "--activation", "linear"),
        *("--repeats", "kept", "--models", "elsewhere"),
    )

    assert run.returncode == 0, run.stderr
    recipe = ModelRepository(tmp_path / "elsewhere").load(1).manifest.recipe
    assert recipe == Recipe((8, 4), 0.1, 400, 2, 3, 9, 1.5, 50, 0.0001, 0.0002, "linear", "kept")
    for field in fields(Recipe):
        assert getattr(recipe, field.name) != field.default, f"{field.name}: set it in this test"


def test_options_accept_none_and_all(job: Callable[..., Run], tmp_path: Path) -> None:
    run = job(
        *("--hidden-sizes", "none", "--batch-size", "all", "--target-error", "none"),
        *("--patience", "none", "--dataset", "six"),
    )

    assert run.returncode == 0, run.stderr
    manifest = ModelRepository(tmp_path / "models").load(1).manifest
    assert manifest.dataset == "six"
    assert manifest.recipe == Recipe(hidden_sizes=(), batch_size=None, target_error=None)


@pytest.mark.parametrize(("former", "name"), FORMER_NAMES.items())
def test_the_former_name_of_a_dataset_is_replaced(tmp_path: Path, former: str, name: str) -> None:
    assert main(["--dataset", former, "--iterations", "300", "--models", str(tmp_path)]) == 0
    assert ModelRepository(tmp_path).load(1).manifest.dataset == name


def test_a_version_that_misses_its_target_error_is_published_and_not_promoted(
    job: Callable[..., Run], tmp_path: Path
) -> None:
    run = job("--activation", "linear", "--restarts", "2")

    assert run.returncode == 1
    repository = ModelRepository(tmp_path / "models")
    assert (repository.versions(), repository.live_number()) == ([1], None)
    assert "published version 1" in run.stdout
    error = repository.load(1).manifest.error
    assert run.stderr.splitlines()[-1] == (
        "python -m streetlight.model: version 1 is not promoted: "
        f"the error is {error:.3g}, above the target of 0.01, with all 3 seeds; "
        "try more iterations, other hidden sizes or another alpha"
    )


def test_if_missing_trains_nothing_where_no_version_is_live(
    job: Callable[..., Run], tmp_path: Path
) -> None:
    job("--activation", "linear", "--restarts", "0")
    job("--no-promote")

    run = job("--if-missing")

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        "python -m streetlight.model: no version is live: promote one, such as the newest with "
        "`streetlight promote 2`\n"
    )
    assert ModelRepository(tmp_path / "models").versions() == [1, 2]


def test_a_training_that_diverges_publishes_no_version(
    job: Callable[..., Run], tmp_path: Path
) -> None:
    run = job(
        *("--hidden-sizes", "none", "--alpha", "50", "--iterations", "2000", "--restarts", "0"),
    )

    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(
        "python -m streetlight.model: training diverged: the error"
    )
    assert ModelRepository(tmp_path / "models").versions() == []


def test_a_csv_with_conflicts_is_grouped(job: Callable[..., Run], tmp_path: Path) -> None:
    rows = [*LAB.lights.tolist(), [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    outcomes = [*LAB.walk_vs_stop.tolist(), 0.0, 1.0]
    csv_io.write(Dataset(np.array(rows), np.array(outcomes)), tmp_path / "corner.csv")

    run = job("--dataset", "corner.csv", "--iterations", "500")

    assert run.returncode == 0, run.stderr
    assert "conflicts 1 light states seen with both outcomes" in run.stdout
    assert "1 1 1                     0.333    stop" in run.stdout
    manifest = ModelRepository(tmp_path / "models").load(1).manifest
    assert (manifest.dataset, manifest.rows, manifest.conflicts) == ("corner.csv", 4, 1)
    assert manifest.accuracy == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("repeats", "rows", "counts"), [("kept", 6, [1] * 6), ("grouped", 4, [2, 2, 1, 1])]
)
def test_the_lab_s_six_rows_are_grouped_or_kept(
    job: Callable[..., Run], tmp_path: Path, repeats: str, rows: int, counts: list[int]
) -> None:
    run = job(
        *("--dataset", "six", "--repeats", repeats, "--hidden-sizes", "none", "--alpha", "0.1"),
        *("--iterations", "40", "--target-error", "none", "--weight-decay", "0.2"),
    )

    assert run.returncode == 0, run.stderr
    assert "accuracy  100.0% of 6 observations" in run.stdout
    version = ModelRepository(tmp_path / "models").load(1)
    assert (version.manifest.rows, version.dataset().counts.tolist()) == (rows, counts)
    right = float(version.network.weights[0][2, 0])
    # The lab trains on the six rows.
    assert (f"{right:.3f}" == "0.180") == (repeats == "kept")


def test_the_summary_shows_the_first_20_rows(job: Callable[..., Run], tmp_path: Path) -> None:
    many = Dataset(LAB_DIRECT.lights.repeat(5, axis=0), LAB_DIRECT.walk_vs_stop.repeat(5))
    csv_io.write(many, tmp_path / "many.csv")

    run = job("--dataset", "many.csv", "--repeats", "kept")

    assert run.returncode == 0, run.stderr
    assert "… and 10 more rows" in run.stdout


def test_no_promote_publishes_without_changing_the_live_version(
    job: Callable[..., Run], tmp_path: Path
) -> None:
    job()
    run = job("--no-promote", "--seed", "5")

    assert run.returncode == 0
    repository = ModelRepository(tmp_path / "models")
    assert repository.versions() == [1, 2]
    assert repository.live_number() == 1
    assert repository.load(2).manifest.parent == 1


@pytest.mark.process
def test_if_missing_trains_once_in_concurrent_processes(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "streetlight.model", "--if-missing"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    outputs = [run.communicate(timeout=60)[0] for run in runs]

    assert [run.returncode for run in runs] == [0] * 4
    assert outputs.count("version 1 is live: nothing to train\n") == 3
    assert ModelRepository(tmp_path / "models").versions() == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--alpha", "fast"), 'argument --alpha: expected a number, got "fast"'),
        (("--alpha", "-1"), "alpha: expected a number from 1e-09"),
        (("--hidden-sizes", "4,x"), 'argument --hidden-sizes: expected a whole number, got "x"'),
        (("--iterations", "1.5"), 'argument --iterations: expected a whole number, got "1.5"'),
        (("--batch-size", "0"), "batch_size: expected a whole number from 1"),
        (("--activation", "tanh"), "invalid choice: 'tanh'"),
        (("--dataset", "nowhere.csv"), "nowhere.csv: No such file or directory"),
        (("--dataset", "bad.csv"), 'bad.csv: line 2: left: expected a finite number, got "on"'),
        (("--models", "bad.csv"), "bad.csv"),
    ],
)
def test_the_last_line_names_the_invalid_option(
    job: Callable[..., Run], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "bad.csv").write_text("left,outcome\non,walk\n")

    run = job(*options)

    assert run.returncode == 2
    assert message in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


@pytest.mark.process
def test_progress_on_a_terminal_is_a_bar(tmp_path: Path) -> None:
    reader, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "streetlight.model"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    ) as run:
        os.close(terminal)
        output = b""
        while True:
            try:
                output += os.read(reader, 65536)
            except OSError:  # the process ended and closed the terminal
                break
    os.close(reader)

    assert run.returncode == 0
    assert b"\r[" + b"#" * 30 + b"] 60/60  seed 1  error 1.50556226651e-05" in output
    assert output.count(b"\r[") == 60
