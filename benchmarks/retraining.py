"""Predictions under load, with and without retrainings back to back: what a request notices."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import urllib3

from tests.server import Server

CLIENTS = 4
# Quiet and busy slices take turns: a machine that others use has its own ups and downs.
SLICES = 4
SLICE_SECONDS = 2.5
AHEAD = 2


@dataclass
class Load:
    """What the clients met in all slices of a kind; latencies are in seconds."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0

    def percentile(self, q: float) -> float:
        """Return the latency that `q` percent of the requests stayed below."""
        return float(np.percentile(self.latencies, q))


def ask(server: Server, load: Load, until: float) -> None:
    """Be a client: one request after the other on a connection of its own."""
    body = json.dumps({"lights": [1, 0, 1]}).encode()
    latencies, errors = [], 0
    with urllib3.PoolManager(maxsize=1, retries=False, timeout=10) as pool:
        while (start := time.perf_counter()) < until:
            try:
                status = pool.request("POST", server.url + "/predict", body=body).status
            except urllib3.exceptions.HTTPError:
                status = 0
            latencies.append(time.perf_counter() - start)
            errors += status != 200
    load.latencies += latencies
    load.errors += errors


def slice_of(server: Server, load: Load) -> None:
    """Let all clients ask for one slice."""
    until = time.perf_counter() + SLICE_SECONDS
    clients = [threading.Thread(target=ask, args=(server, load, until)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


class Retrainings:
    """Retrainings back to back, for as long as the block of `under_way` runs."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.states: list[str] = []

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Keep the trainer busy; in the end, wait until it is at rest."""
        end = threading.Event()
        submitter = threading.Thread(target=self._submit, args=(end,))
        submitter.start()
        try:
            yield
        finally:
            end.set()
            submitter.join()

    def _submit(self, end: threading.Event) -> None:
        waiting: deque[int] = deque()
        while waiting or not end.is_set():
            while len(waiting) < AHEAD and not end.is_set():
                waiting.append(self.server.expect(202, "POST", "/retrain")["id"])
            state = self.server.get(f"/jobs/{waiting[0]}")["state"]
            if state in ("queued", "running"):
                time.sleep(0.02)
            else:
                self.states.append(state)
                waiting.popleft()


def main(folder: Path) -> None:
    """Start a server with a trainer, ask it with and without retrainings, and print."""
    quiet, busy = Load(), Load()
    with Server(folder, workers=2, trainer=True) as server:
        slice_of(server, Load())  # to warm up
        retrainings = Retrainings(server)
        for _ in range(SLICES):
            slice_of(server, quiet)
            with retrainings.under_way():
                slice_of(server, busy)
    for q in (50, 99):
        a, b = quiet.percentile(q), busy.percentile(q)
        print(
            f"POST /predict, p{q:<2} of {CLIENTS} clients {a * 1e3:>9.2f} ms   "
            f"during retrainings: {b * 1e3:>9.2f} ms   ratio {b / a:.2f}"
        )
    failed = len(retrainings.states) - retrainings.states.count("succeeded")
    print(
        f"errors: {quiet.errors} of {len(quiet.latencies)} requests, "
        f"{busy.errors} of {len(busy.latencies)} during retrainings; "
        f"{len(retrainings.states)} retrainings in {SLICES * SLICE_SECONDS:g} s, {failed} failed"
    )
    if quiet.errors or busy.errors or failed:
        raise RuntimeError("a request or a retraining failed")
