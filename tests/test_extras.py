"""Without the dependencies of the server, its commands say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "missing"), [("streetlight", "click"), ("streetlight.model", "numpy")]
)
def test_a_command_names_the_extra_that_is_not_installed(module: str, missing: str) -> None:
    run = subprocess.run(
        [sys.executable, "-S", "-m", module, "--help"],  # -S: without site-packages
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.endswith(
        f": No module named '{missing}'; install it with the extra `server`: "
        "pip install 'streetlight[server]'"
    )
