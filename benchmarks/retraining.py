"""Predictions while something else goes on: a retraining, many of them, promotions."""

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

# Quiet and busy slices take turns: a machine that others use has its own ups and downs.
SLICES = 7
SLICE_SECONDS = 3.0
# Paced, so that a slow answer doesn't spare the server the requests that it would have met.
PACE = 200
PROMOTIONS = 10
LONG = {"iterations": 1_000_000, "restarts": 0, "target_error": None, "promote": "never"}


@dataclass
class Met:
    """What the client met in all slices of a kind; latencies are in seconds."""

    slices: list[list[float]] = field(default_factory=list)
    errors: int = 0

    def percentile(self, q: float) -> float:
        """Return the latency that `q` percent of all requests stayed below, in ms."""
        return float(np.percentile(np.concatenate(self.slices), q)) * 1e3

    def middle(self, q: float) -> float:
        """Return the median over the slices of that."""
        return float(np.median([np.percentile(took, q) for took in self.slices])) * 1e3


def slice_of(server: Server, met: Met) -> None:
    """Ask for one row at an even pace, and measure from when each request was due."""
    body, took = json.dumps({"lights": [1, 0, 1]}).encode(), []
    due = time.perf_counter()
    end = due + SLICE_SECONDS
    with urllib3.PoolManager(maxsize=1, retries=False, timeout=10) as pool:
        while due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                status = pool.request("POST", server.url + "/predict", body=body).status
            except urllib3.exceptions.HTTPError:
                status = 0
            took.append(time.perf_counter() - due)
            met.errors += status != 200
            due += 1 / PACE
    met.slices.append(took)


@contextmanager
def repeated(act: Callable[[], None]) -> Iterator[None]:
    """Do something over and over in a thread, until the block ends."""
    end = threading.Event()

    def again() -> None:
        while not end.is_set():
            act()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def until_not(server: Server, number: int, *states: str) -> str:
    """Wait until a job is in none of these states, and return in which it is."""
    deadline = time.monotonic() + DEADLINE
    while (state := str(server.get(f"/jobs/{number}")["state"])) in states:
        if time.monotonic() > deadline:
            raise TimeoutError(f"job {number} is still {state}")
        time.sleep(0.01)
    return state


def until_ended(server: Server, number: int) -> str:
    """Wait for a job, and return its state."""
    return until_not(server, number, "queued", "running")


@contextmanager
def one_long_retraining(server: Server) -> Iterator[None]:
    """Let one retraining run all the time."""
    number = server.expect(202, "POST", "/retrain", LONG)["id"]
    until_not(server, number, "queued")
    yield
    if server.get(f"/jobs/{number}")["state"] != "running":
        raise RuntimeError("the long retraining was too short")
    server.request("POST", f"/jobs/{number}/cancel")
    until_ended(server, number)


def main(folder: Path) -> None:
    """Ask a server with a trainer while it is quiet and while it isn't, and write the results."""
    states: list[str] = []
    promotions = 0
    with Server(folder, workers=1, trainer=True) as server:
        first = server.expect(202, "POST", "/retrain", {"promote": "always"})["id"]
        until_ended(server, first)
        newest = server.get("/versions")["versions"][0]["version"]

        def retrain() -> None:
            states.append(until_ended(server, server.expect(202, "POST", "/retrain")["id"]))

        def promote() -> None:
            nonlocal promotions
            for number in (1, newest):
                server.post(f"/versions/{number}/promote")
                promotions += 1
                time.sleep(1 / PROMOTIONS)

        met = {
            "quiet": Met(),
            "during a long retraining": Met(),
            "during retrainings back to back": Met(),
            "during promotions": Met(),
        }
        slice_of(server, Met())  # to warm up
        for _ in range(SLICES):
            slice_of(server, met["quiet"])
            with one_long_retraining(server):
                slice_of(server, met["during a long retraining"])
            with repeated(retrain):
                slice_of(server, met["during retrainings back to back"])
            with repeated(promote):
                slice_of(server, met["during promotions"])
    failed = len(states) - states.count("succeeded")
    notes = {
        "during retrainings back to back": f"{len(states)} retrainings, {failed} failed",
        "during promotions": f"{promotions} promotions, at most {PROMOTIONS} a second",
    }
    quiet = met["quiet"]
    rows = [
        [
            name,
            f"{kind.percentile(50):.2f}",
            f"{kind.percentile(99):.2f}",
            f"{kind.middle(99):.2f}",
            f"{kind.middle(99) / quiet.middle(99):.2f}",
            str(kind.errors),
            notes.get(name, ""),
        ]
        for name, kind in met.items()
    ]
    header = ["", "p50 ms", "p99 ms", "median of a slice's p99", "against quiet", "errors", ""]
    said = (
        f"One client asks for one row {PACE} times a second; {SLICES} slices of {SLICE_SECONDS:g} "
        "s of each kind, turn by turn; one worker. The aim is a p99 of at most 1.2 times the quiet "
        "one while a retraining runs and a core is free."
    )
    results.write(
        "retraining", "Predictions during retrainings", said, [Table("p99", header, rows)]
    )
    if failed or any(kind.errors for kind in met.values()):
        raise RuntimeError("a request or a retraining failed")
