"""schemathesis asks every operation whatever the description allows, and what it doesn't.

All its checks are on, and its stateful phase goes from answer to question by the links. What it is
told besides the description is in `schemathesis.toml` and `schemathesis_hooks`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import Server, streetlight

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFIG = Path(__file__).with_name("schemathesis.toml")


def ask(folder: Path, examples: int, seed: int) -> None:
    """Run it against a server with two versions, so that there is one to go back to."""
    report, key = folder / "report.json", "key"
    with Server(folder / "data", api_key=key) as server:
        streetlight("train", "--seed", "5", data_dir=server.data_dir)
        run = subprocess.run(
            [
                *(SCHEMATHESIS, "--config-file", str(CONFIG)),
                *("run", f"{server.url}/openapi.json", "--no-color"),
                *("--max-examples", str(examples), "--seed", str(seed)),
                *("--report", "json", "--report-json-path", str(report)),
            ],
            cwd=CONFIG.parents[3],
            env=os.environ | {"SCHEMATHESIS_KEY": key},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        asked = sum(len(methods) for methods in server.get("/openapi.json")["paths"].values())
        log = server.log.read_text()
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-10_000:]
    assert "Traceback" not in log
    told = json.loads(report.read_text())
    assert told["complete"]
    assert (told["failures"], told["errors"]) == ([], [])
    assert told["operations"]["tested"] == asked
    assert {phase["status"] for phase in told["phases"].values()} == {"success"}
    assert told["test_cases"]["generated"] > 30 * asked
    # Each was also asked what it accepts, and did; what needs a number gets there by the links.
    for name, phases in told["valid_rates"].items():
        assert "{" in name or sum(rates["accepted"] for rates in phases.values()), name


@pytest.mark.storm
def test_it_finds_nothing(tmp_path: Path) -> None:
    # With fewer, it doesn't get to accept what each operation asks for.
    ask(tmp_path, max(8, int(os.environ.get("STORM_ROUNDS", "8"))), seed=1)
