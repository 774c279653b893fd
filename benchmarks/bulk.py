"""Many rows in one request: V2 in binary and in JSON, against the forward pass alone."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.ledger import peak, worker_of
from model.repository import ModelRepository
from tests.server import Server

ROUNDS = 7
PATH = "/v2/models/streetlight/infer"


def binary(rows: int, datatype: str, dtype: str) -> tuple[bytes, dict[str, str]]:
    """Return a request for the scores of `rows` light states, and its header."""
    data = np.random.default_rng(0).integers(0, 2, (rows, 3)).astype(dtype).tobytes()
    tensor = {"name": "lights", "shape": [rows, 3], "datatype": datatype}
    head = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}],
            "outputs": [{"name": "score", "parameters": {"binary_data": True}}],
        }
    ).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


def as_json(rows: int) -> tuple[bytes, dict[str, str]]:
    """Return the same as JSON."""
    data = np.random.default_rng(0).integers(0, 2, (rows, 3)).tolist()
    tensor = {"name": "lights", "shape": [rows, 3], "datatype": "FP64", "data": data}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": "score"}]}).encode(), {}


def median(act: Callable[[], object]) -> float:
    """Return the median time of some rounds, in seconds."""
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def main(folder: Path) -> None:
    """Start a server, send each request some times, and print."""
    with Server(folder) as server:
        worker = worker_of(server)
        network = ModelRepository(folder / "models").load(1).network
        lights = np.random.default_rng(0).integers(0, 2, (1_000_000, 3)).astype(np.float64)
        for what, rows, (body, headers) in (
            ("V2 binary FP64", 1_000_000, binary(1_000_000, "FP64", "<f8")),
            ("V2 binary FP32", 1_000_000, binary(1_000_000, "FP32", "<f4")),
            ("V2 JSON", 100_000, as_json(100_000)),
        ):
            before = peak(worker)

            def ask(body: bytes = body, headers: dict[str, str] = headers) -> None:
                response = server.request("POST", PATH, body, **headers)
                if response.status != 200:
                    raise RuntimeError(response.data[:200])

            took = median(ask)
            alone = median(lambda rows=rows: network.scores(lights[:rows]))  # type: ignore[misc]
            print(
                f"{what:<16} {rows:>9,} rows {rows / took:>10,.0f} rows/s   the forward pass alone"
                f" takes {alone / took:.2f} of it; body {len(body) / 2**20:.0f} MiB,"
                f" worker's peak memory {before:.0f}, then {peak(worker):.0f} MiB"
            )
