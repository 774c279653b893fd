"""Benchmark of the latency of predictions during retrainings and promotions."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import urllib3

from benchmarks import results
from benchmarks.results import Table
from tests.server import DEADLINE, Server

# Quiet and busy slices alternate, because the load of a shared machine changes over time.
SLICES = 7
SLICE_SECONDS = 3.0
# Requests per second, sent on schedule: a slow answer doesn't delay the requests after it.
REQUEST_RATE = 200
PROMOTION_RATE = 10
LONG = {"iterations": 1_000_000, "restarts": 0, "target_error": None, "promote": "never"}


@dataclass
class Latencies:
    """The latencies of all slices of a kind, in seconds, and the number of errors."""

    slices: list[list[float]] = field(default_factory=list)
    errors: int = 0

    def percentile(self, q: float) -> float:
        """Return the `q`-th percentile of the latency over all slices, in ms."""
        return float(np.percentile(np.concatenate(self.slices), q)) * 1e3

    def median_percentile(self, q: float) -> float:
        """Return the median over the slices of the `q`-th percentile of each, in ms."""
        return float(np.median([np.percentile(slice_, q) for slice_ in self.slices])) * 1e3


def measure_slice(server: Server, latencies: Latencies) -> None:
    """Add a slice of predictions of one row; a latency counts from when the request was due."""
    body, times = json.dumps({"lights": [1, 0, 1]}).encode(), []
    due = time.perf_counter()
    end = due + SLICE_SECONDS
    with urllib3.PoolManager(maxsize=1, retries=False, timeout=10) as pool:
        while due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                status = pool.request("POST", server.url + "/predict", body=body).status
            except urllib3.exceptions.HTTPError:
                status = 0
            times.append(time.perf_counter() - due)
            latencies.errors += status != 200
            due += 1 / REQUEST_RATE
    latencies.slices.append(times)


@contextmanager
def repeated(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` repeatedly in a thread until the block ends."""
    end = threading.Event()

    def loop() -> None:
        while not end.is_set():
            act()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def wait_while(server: Server, number: int, *states: str) -> str:
    """Wait while a job is in one of `states`, and return its next state."""
    deadline = time.monotonic() + DEADLINE
    while (state := str(server.get(f"/jobs/{number}")["state"])) in states:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"job {number}: expected another state within {DEADLINE:g} s, got {state}"
            )
        time.sleep(0.01)
    return state


def wait_for_end(server: Server, number: int) -> str:
    """Wait until a job has ended, and return its state."""
    return wait_while(server, number, "queued", "running")


@contextmanager
def one_long_retraining(server: Server) -> Iterator[None]:
    """Run one retraining during the whole block.

    Raises:
        RuntimeError: the retraining ended before the block.
    """
    number = server.expect(202, "POST", "/retrain", LONG)["id"]
    wait_while(server, number, "queued")
    yield
    if server.get(f"/jobs/{number}")["state"] != "running":
        raise RuntimeError(f"job {number}: expected it to run during the whole slice; it has ended")
    server.expect(200, "DELETE", f"/jobs/{number}")
    wait_for_end(server, number)


def main(folder: Path) -> None:
    """Run the benchmark and write `results/retraining.md`."""
    states: list[str] = []
    promotions = 0
    with Server(folder, workers=1, trainer=True) as server:
        first = server.expect(202, "POST", "/retrain", {"promote": "always"})["id"]
        wait_for_end(server, first)
        newest = server.get("/versions")["versions"][0]["version"]

        def retrain() -> None:
            states.append(wait_for_end(server, server.expect(202, "POST", "/retrain")["id"]))

        def promote() -> None:
            nonlocal promotions
            for number in (1, newest):
                server.post(f"/versions/{number}/promote")
                promotions += 1
                time.sleep(1 / PROMOTION_RATE)

        measured = {
            "quiet": Latencies(),
            "during a long retraining": Latencies(),
            "during retrainings back to back": Latencies(),
            "during promotions": Latencies(),
        }
        measure_slice(server, Latencies())  # warm-up
        for _ in range(SLICES):
            measure_slice(server, measured["quiet"])
            with one_long_retraining(server):
                measure_slice(server, measured["during a long retraining"])
            with repeated(retrain):
                measure_slice(server, measured["during retrainings back to back"])
            with repeated(promote):
                measure_slice(server, measured["during promotions"])
    failed = len(states) - states.count("succeeded")
    notes = {
        "during retrainings back to back": f"{len(states)} retrainings, {failed} failed",
        "during promotions": f"{promotions} promotions, at most {PROMOTION_RATE} a second",
    }
    quiet = measured["quiet"]
    rows = [
        [
            name,
            f"{kind.percentile(50):.2f}",
            f"{kind.percentile(99):.2f}",
            f"{kind.median_percentile(99):.2f}",
            f"{kind.median_percentile(99) / quiet.median_percentile(99):.2f}",
            str(kind.errors),
            notes.get(name, ""),
        ]
        for name, kind in measured.items()
    ]
    header = ["", "p50 ms", "p99 ms", "median of a slice's p99", "against quiet", "errors", ""]
    summary = (
        f"One client requests a prediction {REQUEST_RATE} times a second; {SLICES} slices of "
        f"{SLICE_SECONDS:g} s of each kind, in turns; one worker. The aim is a p99 of at most 1.2 "
        "times the quiet one while a retraining runs and a core is free."
    )
    results.write(
        "retraining", "Predictions during retrainings", summary, [Table("p99", header, rows)]
    )
    if failed or any(kind.errors for kind in measured.values()):
        raise RuntimeError("expected no failed request or retraining; see the table above")
