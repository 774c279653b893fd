"""Benchmark of a ledger of a million observations: import, pages, export, POST and retraining."""

import random
import statistics
import subprocess
import time
from pathlib import Path

import urllib3

from benchmarks import results
from benchmarks.process_tree import peak
from benchmarks.results import Table
from tests.server import STREETLIGHT, Server, environment

ROWS = 1_000_000
POSTS = 50
DEADLINE = 600.0

# The outcome depends on the first two of three lights, so that there is something to learn.
LINES = [
    f"{a},{b},{c},{'walk' if a != b else 'stop'}\n" for a in (0, 1) for b in (0, 1) for c in (0, 1)
]


rows: list[list[str]] = []


def add_row(step: str, seconds: float, note: str = "") -> None:
    """Add a row to the table."""
    rows.append([step, f"{seconds:,.3f}", note])


def worker_of(server: Server) -> int:
    """Return the process id of the server's worker, which is forked before the trainer."""
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return int(children.split()[0])


def import_rows(folder: Path, count: int) -> None:
    """Run `streetlight import` on `count` rows, and measure its time and peak memory."""
    path = folder / "observations.csv"
    with path.open("w", encoding="ascii") as file:
        file.write("left,middle,right,outcome\n")
        file.writelines(random.Random(0).choices(LINES, k=count))  # noqa: S311 - no secrets
    start, peak_memory = time.perf_counter(), 0.0
    with subprocess.Popen(
        [STREETLIGHT, "import", str(path)],
        env=environment(data_dir=folder, start_empty=True),
        stdout=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            time.sleep(0.02)
            try:
                peak_memory = max(peak_memory, peak(process.pid))
            except KeyError:  # the process has just ended
                break
    took = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"streetlight import: expected status 0, got {process.returncode}")
    size = (folder / "streetlight.db").stat().st_size / 2**20
    add_row(
        f"import of {count:,} rows",
        took,
        f"{count / took:.0f} rows/s, peak memory {peak_memory:.0f} MiB, database {size:.0f} MiB",
    )


def export(server: Server, kind: str, count: int) -> None:
    """Read an export of `count` rows, and measure its time and the worker's peak memory."""
    worker = worker_of(server)
    before, start, lines = peak(worker), time.perf_counter(), 0
    with urllib3.PoolManager(timeout=DEADLINE) as pool:
        url = f"{server.url}/observations?format={kind}"
        response = pool.request("GET", url, preload_content=False)
        for chunk in response.stream(2**16):
            lines += chunk.count(b"\n")
    took = time.perf_counter() - start
    if lines != count + (kind == "csv"):
        raise RuntimeError(f"export as {kind}: expected {count} rows, got {lines} lines")
    add_row(
        f"export as {kind}",
        took,
        f"{count / took:.0f} rows/s, worker's peak {before:.0f}, then {peak(worker):.0f} MiB",
    )


def get_page(server: Server, step: str, path: str) -> None:
    """Get a page once, so that the time includes reading from disk."""
    start = time.perf_counter()
    server.get(path)
    add_row(step, time.perf_counter() - start)


def add_one_by_one(server: Server) -> None:
    """Post one row at a time, and measure the median time."""
    times = []
    for _ in range(POSTS):
        start = time.perf_counter()
        server.expect(201, "POST", "/observations", {"lights": [1, 0, 1], "outcome": "walk"})
        times.append(time.perf_counter() - start)
    add_row("POST /observations, one row", statistics.median(times), f"median of {POSTS}")


def retrain(server: Server) -> None:
    """Request a retraining, and measure the time until it succeeds."""
    start = time.perf_counter()
    number = server.expect(202, "POST", "/retrain")["id"]
    while (job := server.get(f"/jobs/{number}"))["state"] in ("queued", "running"):
        if time.perf_counter() - start > DEADLINE:
            raise TimeoutError(f"job {number}: expected an end within {DEADLINE:.0f} s, got none")
        time.sleep(0.05)
    if job["state"] != "succeeded":
        raise RuntimeError(f"job {number}: expected succeeded, got {job['state']}: {job['error']}")
    add_row("POST /retrain, until it succeeded", time.perf_counter() - start)


def main(folder: Path, count: int = ROWS) -> None:
    """Run the benchmark with `count` observations and write `results/ledger.md`."""
    import_rows(folder, count)
    with Server(folder, trainer=True) as server:
        get_page(server, "GET /observations, the first page", "/observations")
        get_page(server, "GET /observations, from the middle", f"/observations?after={count // 2}")
        export(server, "csv", count)
        export(server, "jsonl", count)
        add_one_by_one(server)
        retrain(server)
    summary = f"A ledger of {count:,} observations, on SQLite, over HTTP and the command line."
    results.write("ledger", "The ledger", summary, [Table("Steps", ["", "s", ""], rows)])
