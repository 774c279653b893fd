"""The soak runs, and notices what grows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak import growth


def test_a_figure_that_grows_is_reported() -> None:
    flat = {"MiB": 100.0, "files": 30.0, "threads": 8.0}
    grown = {"MiB": 137.0, "files": 39.0, "threads": 10.0}

    assert growth("worker", [flat, flat, flat]) == []
    assert growth("worker", [grown, flat, flat]) == []
    assert growth("worker", [flat, flat, grown]) == [
        "MiB of the worker grew from 100 to 137",
        "files of the worker grew from 30 to 39",
    ]


@pytest.mark.process
@pytest.mark.storm
def test_a_short_soak_finds_nothing() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak"],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"SOAK_SECONDS": "6"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Growth and failures: none." in run.stdout
