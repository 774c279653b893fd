"""Without the dependencies of an extra, its commands and packages say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"


def run_without_packages(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", *arguments],  # -S: without site-packages
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "missing"), [("streetlight", "click"), ("streetlight.model", "numpy")]
)
def test_a_command_names_the_extra_that_is_not_installed(module: str, missing: str) -> None:
    run = run_without_packages("-m", module, "--help")

    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.endswith(
        f": No module named '{missing}'; install it with the extra `server`: "
        "pip install 'streetlight[server]'"
    )


@pytest.mark.process
def test_the_client_names_the_extra_that_is_not_installed() -> None:
    run = run_without_packages("-c", "import streetlight.client")

    assert run.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: No module named 'httpx'; install it with the extra `client`: "
        "pip install 'streetlight[client]'"
    )
