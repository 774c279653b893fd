"""Run schemathesis: valid and invalid requests to each operation of the OpenAPI document.

All checks are enabled, and the stateful phase follows the links of the responses. Exceptions are in
`schemathesis.toml` and `schemathesis_hooks.py`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import Server, streetlight
from tests.service.webhook.receiver import SECRET

pytestmark = pytest.mark.process

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
# The operations that the configuration leaves out.
NOT_TESTED = "^(events_follow|v2_repository_unload|v[12].*_(label|version))$"
CONFIG = Path(__file__).with_name("schemathesis.toml")


def run_schemathesis(folder: Path, examples: int, seed: int) -> None:
    """Run schemathesis on a server with two versions, so that a rollback succeeds."""
    report, key = folder / "report.json", "key"
    webhook = {"webhook_url": "http://127.0.0.1:9/", "webhook_secret": SECRET}  # it refuses this
    with Server(folder / "data", api_key=key, prediction_log=True, **webhook) as server:
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
        paths = server.get("/openapi.json")["paths"]
        log = server.log.read_text()
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-10_000:]
    assert "Traceback" not in log
    result = json.loads(report.read_text())
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]
    operations = sum(not re.search(NOT_TESTED, name) for name in ids)
    assert result["complete"]
    assert (result["failures"], result["errors"]) == ([], [])
    assert result["operations"]["tested"] == operations
    assert {phase["status"] for phase in result["phases"].values()} == {"success"}
    assert result["test_cases"]["generated"] > 30 * operations
    # Each operation accepted a request; those with a number in the path are reached by links.
    for name, phases in result["valid_rates"].items():
        assert "{" in name or sum(rates["accepted"] for rates in phases.values()), name


@pytest.mark.storm
def test_schemathesis_finds_no_failure(tmp_path: Path) -> None:
    # With fewer examples, some operations don't get a request that they accept.
    run_schemathesis(tmp_path, max(8, int(os.environ.get("STORM_ROUNDS", "8"))), seed=1)
