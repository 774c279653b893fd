"""Mixed load on a server with retrainings for half an hour: `make soak`.

Nothing may grow or fail: the peak memory, the open files and the threads of each process in the
last third are compared with those in the first. The other benchmarks measure speed.
"""

import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import urllib3

from benchmarks import process_tree, results
from benchmarks.results import Plot, Table
from tests.server import STREETLIGHT, Server, environment

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))
PERIODS = 12
# What a figure of the last third may exceed the largest of the first third by: a factor, and a sum.
GROWTH = {"MiB": (1.2, 16.0), "files": (1.0, 8.0), "threads": (1.0, 2.0)}

LIGHTS = [[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]]
TENSOR = {"name": "lights", "shape": [1, 3], "datatype": "FP64", "data": [1, 0, 1]}
BATCH = json.dumps({"lights": LIGHTS * 250}).encode()
LARGE_BATCH = json.dumps({"lights": LIGHTS * 100_000}).encode()


@dataclass
class Load:
    """Clients of a server, each in a thread that repeats one action, and what they measured.

    A status of 0 means that there was no response.
    """

    server: Server
    statuses: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, method: str, path: str, body: object = None) -> None:
        """Send a request, and note its status."""
        started = time.perf_counter()
        try:
            status = self.server.request(method, path, body).status
        except urllib3.exceptions.HTTPError:
            status = 0
        if path == "/predict":
            self.latencies.append(time.perf_counter() - started)
        self.statuses.append(status)

    def leave(self, request: str, *, read: bool) -> None:
        """Send `request`, or its start, and leave, perhaps after the start of the response."""
        try:
            with socket.create_connection(("127.0.0.1", self.server.port), 30) as client:
                client.sendall(request.encode())
                if read:
                    client.recv(1)
        except OSError:
            self.statuses.append(0)

    def actions(self) -> list[tuple[float, Iterator[Callable[[], object]]]]:
        """Return the seconds between two actions of each client, and its actions."""
        send = self.send

        def repeated(*arguments: object) -> Iterator[Callable[[], object]]:
            return itertools.repeat(lambda: send(*arguments))  # type: ignore[arg-type]

        def observe(number: int) -> None:
            lights = LIGHTS[number % 4]
            outcome = "walk" if lights[0] == lights[1] else "stop"
            send("POST", "/observations", {"lights": lights, "outcome": outcome})

        pages = ["/versions", "/observations", "/jobs", "/metrics", "/versions/1/diff/1", "/readyz"]
        head = "HTTP/1.1\r\nHost: soak\r\n"
        return [
            (0.02, repeated("POST", "/predict", {"lights": LIGHTS[0]})),
            (0.5, repeated("POST", "/predict/batch", BATCH)),
            (20, repeated("POST", "/predict/batch", LARGE_BATCH)),
            (1, repeated("POST", "/explain", {"lights": LIGHTS[0]})),
            (1, repeated("POST", "/v2/models/streetlight/infer", {"inputs": [TENSOR]})),
            (1, repeated("POST", "/predict", {"lights": ["on"]})),
            (0.5, (lambda n=n: observe(n) for n in itertools.count())),
            (1, (lambda page=page: send("GET", page) for page in itertools.cycle(pages))),
            (20, repeated("POST", "/retrain", {"promote": "always"})),
            (31, repeated("POST", "/rollback")),
            (29, repeated("POST", "/versions/1/verify")),
            (1, itertools.repeat(lambda: self.leave(f"POST /predict {head}", read=False))),
            (5, itertools.repeat(lambda: self.leave(f"GET /jobs/1/events {head}\r\n", read=True))),
            (3, itertools.repeat(lambda: self.leave(f"GET /events {head}\r\n", read=True))),
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients until the end of the block."""

        def client(interval: float, actions: Iterator[Callable[[], object]]) -> None:
            for action in actions:
                action()
                if self.stop.wait(interval):
                    return

        threads = [threading.Thread(target=client, args=pair) for pair in self.actions()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()


@contextmanager
def processes(folder: Path) -> Iterator[tuple[Server, dict[str, int]]]:
    """Yield a server with one worker, and the ids of its processes and of a trainer's."""
    with Server(folder, workers=1) as server, (folder / "trainer.log").open("wb") as log:
        main = server.process.pid
        (worker,) = process_tree.pids(main)[1:]
        with subprocess.Popen(
            [STREETLIGHT, "work"], env=environment(data_dir=folder), stdout=log, stderr=log
        ) as trainer:
            try:
                yield server, {"main": main, "worker": worker, "trainer": trainer.pid}
            finally:
                trainer.terminate()


def figures(pid: int) -> dict[str, float]:
    """Return the peak memory of a process since the last call, its open files and its threads."""
    found = {
        "MiB": process_tree.peak(pid),
        "files": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
        "threads": float(len(list(Path(f"/proc/{pid}/task").iterdir()))),
    }
    process_tree.reset_peak(pid)
    return found


def growth(name: str, samples: Sequence[dict[str, float]]) -> list[str]:
    """Return a sentence for each figure that grew from the first third to the last."""
    third, found = len(samples) // 3, []
    for unit, (factor, margin) in GROWTH.items():
        first = max(sample[unit] for sample in samples[:third])
        last = max(sample[unit] for sample in samples[-third:])
        if last > factor * first + margin:
            found.append(f"{unit} of the {name} grew from {first:.0f} to {last:.0f}")
    return found


def main(folder: Path) -> list[str]:
    """Run the soak, print its tables, and return what grew or failed.

    A run of the usual length writes `results/soak.md`.
    """
    rows: list[list[str]] = []
    with processes(folder) as (server, pids):
        load, samples = Load(server), {name: list[dict[str, float]]() for name in pids}
        before = 0
        with load.running():
            for period in range(1, PERIODS + 1):
                load.stop.wait(SECONDS / PERIODS)
                now, latencies, load.latencies = len(load.statuses), load.latencies, []
                p50, p99 = np.percentile(latencies, (50, 99)) * 1e3
                row = [f"{period * SECONDS / PERIODS / 60:.1f}", f"{now - before:,}"]
                row += [f"{p50:.1f}", f"{p99:.1f}"]
                for name, pid in pids.items():
                    samples[name].append(figures(pid))
                    row += [f"{figure:.0f}" for figure in samples[name][-1].values()]
                before = now
                rows.append(row)
                print(*row, flush=True)
        jobs = Counter(job["state"] for job in server.get("/jobs?limit=1000")["jobs"])
        versions = server.get("/versions?limit=1000")["versions"]
        observations = server.get("/observations?limit=1")["total"]
    problems = [problem for name in pids for problem in growth(name, samples[name])]
    failed = sum(not 200 <= status < 500 for status in load.statuses)
    if failed:
        problems.append(f"{failed} requests had a status above 499 or no response")
    if jobs["failed"]:
        problems.append(f"{jobs['failed']} retrainings failed")
    header = ["minutes", "requests", "p50 ms", "p99 ms"]
    header += [f"{name} {unit}" for name in pids for unit in GROWTH]
    counts = sorted(Counter(load.statuses).items())
    summary = (
        f"{SECONDS / 60:.0f} minutes, one worker and a trainer, {len(load.actions())} clients: "
        "predictions of one row, 1,000 and 400,000 rows, explanations, errors, observations, "
        "lists, metrics, verifications, retrainings, rollbacks, and clients that leave. Latencies "
        "are those of `/predict`, memory is the peak in the period.\n\n"
        f"Responses: {', '.join(f'{count:,} with {status}' for status, count in counts)}. "
        f"Retrainings: {jobs['succeeded']} succeeded, {jobs['failed']} failed. "
        f"At the end: {len(versions)} versions, {observations:,} observations. "
        "Allowed growth from the first third to the last: 20 % and 16 MiB, 8 files, 2 threads. "
        f"Growth and failures: {'; '.join(problems) or 'none'}."
    )
    table = Table("By period", header, rows)
    if "SOAK_SECONDS" in os.environ:
        print(summary, table, sep="\n\n")
    else:
        curves = {
            name: [
                (float(row[0]), sample["MiB"])
                for row, sample in zip(rows, samples[name], strict=True)
            ]
            for name in pids
        }
        plot = Plot("Peak memory in each period", "minutes", "MiB", curves=curves)
        results.write("soak", "Half an hour of mixed load", summary, [table], [plot])
    return problems


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as data:
        sys.exit("; ".join(main(Path(data))) or 0)
