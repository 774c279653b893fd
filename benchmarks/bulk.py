"""Many rows in one request: the decoder by itself, V2 in binary against the forward pass alone."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import bodies, process_tree, results
from benchmarks.ledger import worker_of
from benchmarks.results import Table
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.inference import batch_json
from streetlight.service.web.api.predict import BatchBody
from tests.server import Server

ROUNDS = 7
PATH = "/v2/models/streetlight/infer"


def median(act: Callable[[], object]) -> float:
    """Return the median time of some rounds, in seconds."""
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def decoder() -> Table:
    """Read bodies of 100,000 rows as `POST /predict/batch` does, and as it did before."""
    random, rows = np.random.default_rng(0), []
    for what, lights in (
        ("each light 0 or 1", random.integers(0, 2, (100_000, 3))),
        ("each light of two decimals", random.uniform(0, 1, (100_000, 3)).round(2)),
        ("each light of 17 digits", random.uniform(0, 1, (100_000, 3))),
    ):
        body = bodies.many_rows(v2=False, rows=lights.tolist())
        ours = median(lambda body=body: batch_json.decode_rows(body))  # type: ignore[misc]
        before = median(
            lambda body=body: np.array(BatchBody.model_validate_json(body).lights)  # type: ignore[misc]
        )
        if batch_json.decode_rows(body) is None:
            raise RuntimeError(f"{what}: not read the quick way")
        rates = [f"{len(lights) / took / 1e6:.1f}" for took in (ours, before)]
        rows.append([what, *rates, f"{before / ours:.1f}"])
    header = ["", "million rows/s", "by Pydantic and numpy", "ratio"]
    return Table("100,000 rows of JSON, in the decoder", header, rows, "The aim is 4 million.")


def binary(folder: Path) -> Table:
    """Send a million rows at once, as often as there are rounds."""
    rows = []
    lights = np.random.default_rng(0).integers(0, 2, (1_000_000, 3)).astype(np.float64)
    for datatype, dtype in (("FP64", "<f8"), ("FP32", "<f4")):
        # A server for each: a peak is for ever.
        with Server(folder) as server:
            worker = worker_of(server)
            network = ModelRepository(folder / "models").load(1).network
            body, headers = bodies.binary_rows(lights, datatype, dtype)
            before = process_tree.peak(worker)
            cpu = process_tree.cpu_seconds(worker)

            def ask() -> None:
                response = server.request("POST", PATH, body, **headers)  # noqa: B023
                if response.status != 200:
                    raise RuntimeError(response.data[:200])

            took = median(ask)
            cpu = (process_tree.cpu_seconds(worker) - cpu) / ROUNDS
            alone = median(lambda: network.scores(lights))  # noqa: B023
            most = process_tree.peak(worker) - before
        size = len(body) / 2**20
        rows.append(
            [
                datatype,
                *(f"{seconds * 1e3:.0f}" for seconds in (took, cpu, alone)),
                f"{alone / took:.2f}",
                f"{alone / cpu:.2f}",
                f"{size:.0f}",
                f"{most:.0f}",
                f"{most / size:.1f}",
            ]
        )
    header = ["", "ms for the client", "CPU ms of the server", "ms of the forward pass alone"]
    header += ["ratio to the client's", "to the CPU's", "body MiB", "memory MiB", "of the body"]
    said = "The aim is a ratio of 0.8, and at most 3 bodies of memory beyond an idle worker."
    return Table("A million rows, V2 in binary", header, rows, said)


def main(folder: Path) -> None:
    """Measure, and write `results/bulk.md`."""
    said = f"Medians of {ROUNDS} rounds; one worker, one client, over loopback."
    results.write("bulk", "Many rows at once", said, [decoder(), binary(folder)])
