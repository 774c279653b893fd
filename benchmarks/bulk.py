"""Benchmark of many rows in one request: the JSON decoder alone, and binary tensors of V2."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import bodies, process_tree, results
from benchmarks.ledger import worker_of
from benchmarks.results import Table
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.inference.codecs import batch_json
from streetlight.service.inference.codecs.native import BatchBody
from tests.server import Server

ROUNDS = 7
PATH = "/v2/models/streetlight/infer"


def median(act: Callable[[], object]) -> float:
    """Return the median time of `ROUNDS` calls, in seconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def decoder() -> Table:
    """Return a table of 100,000 rows decoded by `batch_json`, and by Pydantic and numpy."""
    random, rows = np.random.default_rng(0), []
    for name, lights in (
        ("each light 0 or 1", random.integers(0, 2, (100_000, 3))),
        ("each light with two decimals", random.uniform(0, 1, (100_000, 3)).round(2)),
        ("each light with 17 digits", random.uniform(0, 1, (100_000, 3))),
    ):
        body = bodies.many_rows(v2=False, rows=lights.tolist())
        ours = median(lambda body=body: batch_json.decode_rows(body, "lights", 3))  # type: ignore[misc]
        by_pydantic = median(
            lambda body=body: np.array(BatchBody.model_validate_json(body).lights)  # type: ignore[misc]
        )
        if batch_json.decode_rows(body, "lights", 3) is None:
            raise RuntimeError(f"{name}: expected `batch_json` to decode the body, got None")
        rates = [f"{len(lights) / took / 1e6:.1f}" for took in (ours, by_pydantic)]
        rows.append([name, *rates, f"{by_pydantic / ours:.1f}"])
    header = ["", "million rows/s", "by Pydantic and numpy", "ratio"]
    return Table("100,000 rows of JSON, in the decoder", header, rows, "The aim is 4 million.")


def binary(folder: Path) -> Table:
    """Return a table of requests with a million rows each, in FP64 and in FP32."""
    rows = []
    lights = np.random.default_rng(0).integers(0, 2, (1_000_000, 3)).astype(np.float64)
    for datatype, dtype in (("FP64", "<f8"), ("FP32", "<f4")):
        # A server for each datatype, because the peak memory of a process never falls.
        with Server(folder) as server:
            worker = worker_of(server)
            network = ModelRepository(folder / "models").load(1).network
            body, headers = bodies.binary_rows(lights, datatype, dtype)
            before = process_tree.peak(worker)
            cpu = process_tree.cpu_seconds(worker)

            def infer() -> None:
                response = server.request("POST", PATH, body, **headers)  # noqa: B023
                if response.status != 200:
                    raise RuntimeError(response.data[:200])

            took = median(infer)
            cpu = (process_tree.cpu_seconds(worker) - cpu) / ROUNDS
            alone = median(lambda: network.scores(lights))  # noqa: B023
            memory = process_tree.peak(worker) - before
        size = len(body) / 2**20
        rows.append(
            [
                datatype,
                *(f"{seconds * 1e3:.0f}" for seconds in (took, cpu, alone)),
                f"{alone / took:.2f}",
                f"{alone / cpu:.2f}",
                f"{size:.0f}",
                f"{memory:.0f}",
                f"{memory / size:.1f}",
            ]
        )
    header = ["", "ms for the client", "CPU ms of the server", "ms of the forward pass alone"]
    header += ["ratio to the client's", "to the CPU's", "body MiB", "memory MiB", "of the body"]
    note = (
        "The aims are a ratio of 0.8, and memory beyond that of an idle worker of at most 3 times "
        "the body."
    )
    return Table("A million rows, V2 in binary", header, rows, note)


def main(folder: Path) -> None:
    """Run the benchmark and write `results/bulk.md`."""
    summary = f"Medians of {ROUNDS} rounds; one worker, one client, over loopback."
    results.write("bulk", "Many rows at once", summary, [decoder(), binary(folder)])
