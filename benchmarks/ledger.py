"""The ledger at a million observations: import, pages, export, one more row, and retraining."""

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


told: list[list[str]] = []


def tell(what: str, seconds: float, more: str = "") -> None:
    """Add a line to the table."""
    told.append([what, f"{seconds:,.3f}", more])


def worker_of(server: Server) -> int:
    """Return the process that answers; the server's other child keeps the trainer."""
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    [worker] = [
        int(pid)
        for pid in children.split()
        if b"\0work\0" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return worker


def import_rows(folder: Path, rows: int) -> None:
    """Import that many rows by the command line, and watch its memory until it ends."""
    path = folder / "observations.csv"
    with path.open("w", encoding="ascii") as file:
        file.write("left,middle,right,outcome\n")
        file.writelines(random.Random(0).choices(LINES, k=rows))  # noqa: S311 - no secrets
    start, most = time.perf_counter(), 0.0
    with subprocess.Popen(
        [STREETLIGHT, "import", str(path)],
        env=environment(data_dir=folder, start_empty=True),
        stdout=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            time.sleep(0.02)
            try:
                most = max(most, peak(process.pid))
            except KeyError:  # it has just ended
                break
    took = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"streetlight import ended with status {process.returncode}")
    size = (folder / "streetlight.db").stat().st_size / 2**20
    tell(
        f"import of {rows:,} rows",
        took,
        f"{rows / took:.0f} rows/s, peak memory {most:.0f} MiB, database {size:.0f} MiB",
    )


def export(server: Server, kind: str, rows: int) -> None:
    """Read a whole export, and look how much memory it took the worker that streams it."""
    worker = worker_of(server)
    before, start, lines = peak(worker), time.perf_counter(), 0
    with urllib3.PoolManager(timeout=DEADLINE) as pool:
        url = f"{server.url}/observations?format={kind}"
        response = pool.request("GET", url, preload_content=False)
        for chunk in response.stream(2**16):
            lines += chunk.count(b"\n")
    took = time.perf_counter() - start
    if lines != rows + (kind == "csv"):
        raise RuntimeError(f"the export has {lines} lines, and the ledger {rows} rows")
    tell(
        f"export as {kind}",
        took,
        f"{rows / took:.0f} rows/s, worker's peak memory {before:.0f}, then {peak(worker):.0f} MiB",
    )


def get_page(server: Server, what: str, path: str) -> None:
    """Get a page once: whoever comes first pays for what isn't in memory yet."""
    start = time.perf_counter()
    server.get(path)
    tell(what, time.perf_counter() - start)


def add_one_by_one(server: Server) -> None:
    """Post a row at a time."""
    took = []
    for _ in range(POSTS):
        start = time.perf_counter()
        server.expect(201, "POST", "/observations", {"lights": [1, 0, 1], "outcome": "walk"})
        took.append(time.perf_counter() - start)
    tell("POST /observations, one row", statistics.median(took), f"median of {POSTS}")


def retrain(server: Server) -> None:
    """Ask for a retraining and wait until it is done."""
    start = time.perf_counter()
    number = server.expect(202, "POST", "/retrain")["id"]
    while (job := server.get(f"/jobs/{number}"))["state"] in ("queued", "running"):
        if time.perf_counter() - start > DEADLINE:
            raise TimeoutError(f"the retraining isn't done after {DEADLINE:.0f} s")
        time.sleep(0.05)
    if job["state"] != "succeeded":
        raise RuntimeError(f"the retraining {job['state']}: {job['error']}")
    tell("POST /retrain, until it succeeded", time.perf_counter() - start)


def main(folder: Path, rows: int = ROWS) -> None:
    """Import `rows` observations, start a server on them, ask it, write `results/ledger.md`."""
    import_rows(folder, rows)
    with Server(folder, trainer=True) as server:
        get_page(server, "GET /observations, the first page", "/observations")
        get_page(server, "GET /observations, from the middle", f"/observations?after={rows // 2}")
        export(server, "csv", rows)
        export(server, "jsonl", rows)
        add_one_by_one(server)
        retrain(server)
    said = f"A ledger of {rows:,} observations, on SQLite, over HTTP and the command line."
    results.write("ledger", "The ledger", said, [Table("Steps", ["", "s", ""], told)])
