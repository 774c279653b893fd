"""Start time and memory of the contenders, for the benchmark `serving`."""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import process_tree
from benchmarks.contenders import Contender
from benchmarks.results import Table
from benchmarks.servers import running
from benchmarks.workloads import ROW
from tests.server import DEADLINE, Server

STARTS = 3
WORKERS = 4


def memory_with(workers: int, folder: Path) -> float:
    """Return the memory of our server with `workers` running workers, in MiB."""
    with Server(folder, workers=workers) as server:
        deadline = time.monotonic() + DEADLINE
        while server.log.read_text().count("Booting worker") < workers:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"expected {workers} workers within {DEADLINE:g} s; see {server.log}"
                )
            time.sleep(0.05)
        for _ in range(100):
            server.post("/predict", {"lights": ROW})
        return process_tree.pss(server.process.pid)


def starts(usable: Sequence[Contender], after: Mapping[str, float], folder: Path) -> Table:
    """Return a table of start time and memory, each contender started alone `STARTS` times."""
    rows = []
    for contender in usable:
        times, memory = [], []
        for _ in range(STARTS):
            with running(contender, folder, folder / "start.log") as server:
                times.append(server.cold_start)
                memory.append(process_tree.pss(server.pid))
        figures = (statistics.median(times), statistics.median(memory), after[contender.name])
        rows.append([contender.name, f"{figures[0]:.2f}", *(f"{mib:.0f}" for mib in figures[1:])])
    further = (memory_with(WORKERS, folder) - memory_with(1, folder)) / (WORKERS - 1)
    note = (
        f"Starts: the median of {STARTS}. Each additional Streetlight worker uses {further:.1f} "
        "MiB; the aims are at most 25 MiB, and at most 1 s for our start."
    )
    header = ["", "start to the first answer, s", "PSS MiB after it", "PSS MiB after all loads"]
    return Table("Start and memory", header, rows, note)
