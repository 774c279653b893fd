"""Tests of what requests about wide networks and large training sets cost a worker."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from streetlight.model.dataset import Dataset
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training.fit import TrainingResult
from tests.server import ForkedServer, Server
from tests.service.server.processes import worker_of

MIB = 2**20
# Twice and more of the goals, a second and 256 MiB, for slow machines.
MAX_SECONDS = 3.0
MAX_BYTES = 300 * MIB


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process and its ended children took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, name: str) -> int:
    """Return a size in the status of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def publish(data_dir: Path, rows: int, *sizes: int, seed: int) -> None:
    """Publish a version with random weights and a random training set."""
    random = np.random.default_rng(seed)
    pairs = zip(sizes, (*sizes[1:], 1), strict=True)
    # Few different weights, so that the file is compressed quickly.
    network = Network(tuple(random.integers(-9, 9, pair) / 8 for pair in pairs))
    outcomes = random.integers(0, 2, rows).astype(float)
    dataset = Dataset(random.integers(0, 2, (rows, sizes[0])).astype(float), outcomes)
    recipe = Recipe(hidden_sizes=sizes[1:], target_error=None)
    training = TrainingResult(network, recipe, seed, 1, np.zeros(60), 0.0, 1.0)
    ModelRepository(data_dir / "models").publish(training, dataset, Provenance("test"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with version 2, the widest network, and 3 and 4, with large training sets."""
    data_dir = tmp_path_factory.mktemp("costs")
    with ForkedServer(data_dir, prediction_log=True) as server:
        publish(data_dir, 1000, 64, *[1024] * 8, seed=2)
        publish(data_dir, 30_000, 64, 8, seed=3)
        publish(data_dir, 30_000, 64, 8, seed=4)
        publish(data_dir, 10, 3, 256, 256, seed=5)
        publish(data_dir, 2048, 65, 256, seed=6)
        yield server


@pytest.mark.process
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/versions/2", 413),
        ("/versions/2/weights", 200),
        ("/versions/2/pressure?limit=0", 413),
        ("/versions/2/diff/2", 413),
        ("/versions/3/diff/4", 200),
        ("/versions/3/pressure?limit=1000", 200),
        ("/versions/5", 200),
        ("/versions/5/pressure?limit=1000", 200),
        ("/versions/6/pressure?limit=65", 200),
        ("/versions/6/pressure?limit=65&at=start", 200),
        ("/versions/6/pressure?limit=66", 413),
    ],
)
def test_a_request_about_versions_is_bounded(server: Server, path: str, status: int) -> None:
    worker = worker_of(server)
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # resets the peak
    seconds, size = processor_seconds(worker), memory(worker, "VmRSS")

    response = server.request("GET", path)

    assert response.status == status, response.data[:300]
    assert processor_seconds(worker) - seconds < MAX_SECONDS
    assert memory(worker, "VmHWM") - size < MAX_BYTES


@pytest.mark.process
def test_a_comparison_counts_all_changes_and_lists_the_first(server: Server) -> None:
    response = server.get("/versions/3/diff/4")

    assert (response["compared"], response["all_patterns"]) == (60_000, False)
    assert 100 < response["changed"] < 60_000
    assert len(response["changes"]) == 100
    assert response["changed"] == server.get("/versions/4/diff/3")["changed"]


# Adds 200,000 predictions to the log, of which a tenth are of different lights.
LOG = """
    WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < 200000)
    INSERT INTO predictions (at, request_id, "row", dialect, version, lights, score, decision)
    SELECT unixepoch() - 200000 + i, hex(i), 0, 'native', 1, CASE WHEN i % 10
        THEN '[1.0, 0.0, 1.0]' ELSE '[0.0, 0.5, ' || (i / 1e6) || ']' END, 1.0, 1
    FROM numbers
"""


@pytest.mark.process
def test_a_comparison_with_the_prediction_log_is_bounded(server: Server) -> None:
    with closing(sqlite3.connect(server.data_dir / "predictions.db")) as log, log:
        log.execute(LOG)
    worker = worker_of(server)
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # resets the peak
    seconds, size = processor_seconds(worker), memory(worker, "VmRSS")

    result = server.post("/versions/1/shadow")

    assert (result["predictions"], result["patterns"]) == (200_000, 20_001)
    assert processor_seconds(worker) - seconds < MAX_SECONDS
    assert memory(worker, "VmHWM") - size < 64 * MIB  # whatever the number of different lights
    assert server.expect(413, "POST", "/versions/5/shadow")["error"].startswith("the request needs")
