"""Benchmark of predictions by all contenders, which serve the same network, measured in turns."""

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bodies, load, process_tree, results
from benchmarks.contenders import (
    BASELINE,
    CONTENDERS,
    FASTAPI,
    STREETLIGHT,
    Contender,
    NotInstalledError,
    Running,
    running,
)
from benchmarks.load import Cost, Load
from benchmarks.results import Plot, Table
from tests.server import DEADLINE, Server, streetlight

ROUNDS = 7
STARTS = 3
WORKERS = 4
ROW = [1, 0, 1]
ONE, MANY, BINARY = "one", "many", "binary"


@dataclass(frozen=True)
class Workload:
    """The requests that every contender gets.

    `path` is the name of the attribute of `Contender` that has the path, and determines the body.
    """

    title: str
    path: str = ONE
    rows: int = 1
    connections: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    changing: bool = False
    seconds: int = 1


KEPT = "One row, one connection kept"
THOUSAND = "1,000 rows, JSON"
WORKLOADS = [
    Workload(KEPT),
    Workload("One row, 8 connections kept", connections=8),
    Workload("One row, one connection kept, headers that change", changing=True),
    Workload("One row, a connection for each", headers={"Connection": "close"}),
    Workload(THOUSAND, MANY, 1_000),
    Workload("100,000 rows, JSON", MANY, 100_000, seconds=2),
    Workload("1,000 rows, V2 binary", BINARY, 1_000),
    Workload("1,000,000 rows, V2 binary", BINARY, 1_000_000, seconds=2),
]


def load_of(contender: Contender, workload: Workload, folder: Path) -> Load | None:
    """Return the load of a workload for a contender, or `None` if it has no path for that."""
    path: str | None = getattr(contender, workload.path)
    if path is None:
        return None
    headers = dict(workload.headers)
    rows = [ROW] * workload.rows
    if workload.path == BINARY:
        body, tensor_headers = bodies.binary_rows(rows)
        headers |= tensor_headers
    elif workload.path == MANY:
        body = bodies.many_rows(contender.v2, rows)
    else:
        body = bodies.one_row(contender.v2)
    file = folder / f"{workload.path}-{workload.rows}-{contender.v2}"
    if not file.exists():
        file.write_bytes(body)
    return Load(path, file, workload.connections, headers, workload.changing)


def measured(workload: Workload, servers: Sequence[Running], folder: Path) -> dict[str, list[Cost]]:
    """Run a workload on all servers in turns, and return the costs by name of the server."""
    loads = {s.contender.name: load_of(s.contender, workload, folder) for s in servers}
    costs: dict[str, list[Cost]] = {}
    for turn in range(ROUNDS + 1):
        for server in servers:
            server_load = loads[server.contender.name]
            if server_load is None:
                continue
            cost = load.measure(server, server_load, workload.seconds)
            if turn:  # the first turn is a warm-up
                costs.setdefault(server.contender.name, []).append(cost)
    return costs


def table(workload: Workload, costs: Mapping[str, list[Cost]]) -> Table:
    """Return a table with the lowest processor time first and servers with errors last."""
    medians = {name: load.median(turns) for name, turns in costs.items()}
    ours = medians[STREETLIGHT].cpu
    rows = []
    for name, cost in sorted(medians.items(), key=lambda item: (item[1].errors, item[1].cpu)):
        if cost.errors:
            rows.append([name, f"{cost.errors} errors", *[""] * (5 if workload.rows > 1 else 4)])
            continue
        rows.append(
            [
                name,
                f"{cost.cpu:,.0f}",
                f"{cost.cpu / ours:.2f}",
                f"{cost.rate:,.1f}",
                *([f"{cost.rate * workload.rows:,.0f}"] if workload.rows > 1 else []),
                f"{cost.p50:.2f}",
                f"{cost.p99:.2f}",
            ]
        )
    header = ["", "CPU us a request", "against ours", "requests/s"]
    header += [*(["rows/s"] if workload.rows > 1 else []), "p50 ms", "p99 ms"]
    return Table(workload.title, header, rows)


def goals(costs: Mapping[str, Mapping[str, list[Cost]]]) -> Table:
    """Return a table of ratios to other servers, each the median over the ratios of the rounds."""

    def ratio(title: str, figure: str, other: str) -> str:
        pairs = zip(costs[title].get(STREETLIGHT, []), costs[title].get(other, []), strict=False)
        ratios = [getattr(ours, figure) / getattr(theirs, figure) for ours, theirs in pairs]
        return f"{statistics.median(ratios):.2f}" if ratios else "not measured"

    rows = [
        ["CPU, against the baseline", ratio(KEPT, "cpu", BASELINE), "at most 1.1"],
        [f"CPU, against {FASTAPI}", ratio(KEPT, "cpu", FASTAPI), "at most 0.7"],
        ["requests/s, against the same", ratio(KEPT, "rate", FASTAPI), "at least 1.5"],
        ["p99, against the same", ratio(KEPT, "p99", FASTAPI), "at most 1.0"],
        ["1,000 rows: rows/s, against the same", ratio(THOUSAND, "rate", FASTAPI), "at least 2.0"],
    ]
    return Table("Ratios", ["one row, one connection kept", "ratio", "aim"], rows)


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


def main(folder: Path) -> None:
    """Run the benchmark and write `results/serving.md`."""
    if (trained := streetlight("train", data_dir=folder)).returncode:
        raise RuntimeError(trained.stderr)
    absent: list[list[str]] = []
    with ExitStack() as stack:
        servers = []
        for contender in CONTENDERS:
            log = folder / f"{contender.name.replace(' ', '-')}.log"
            try:
                servers.append(stack.enter_context(running(contender, folder, log)))
            except (NotInstalledError, RuntimeError) as error:
                absent.append([contender.name, str(error)])
        costs = {}
        for workload in WORKLOADS:
            costs[workload.title] = measured(workload, servers, folder)
            print(table(workload, costs[workload.title]), flush=True)
        after = {server.contender.name: process_tree.pss(server.pid) for server in servers}
    usable = [server.contender for server in servers]
    tables = [goals(costs), *(table(workload, costs[workload.title]) for workload in WORKLOADS)]
    tables.append(starts(usable, after, folder))
    if absent:
        tables.append(Table("Not measured", ["", "why"], absent))
    plots = [
        Plot(
            title,
            "CPU microseconds a request",
            bars={n: c.cpu for n, c in medians.items() if not c.errors},
            marked=STREETLIGHT,
        )
        for title in (KEPT, "One row, a connection for each", THOUSAND)
        for medians in [{name: load.median(turns) for name, turns in costs[title].items()}]
    ]
    packages = sorted({c.packages for c in CONTENDERS if c.packages})
    summary = (
        "All servers have the same network and one worker. They run at the same time, and wrk "
        f"sends requests to one after another over loopback; medians of {ROUNDS} rounds. CPU is "
        f"the sum over all processes of a server. {results.peers(*packages)}"
    )
    results.write("serving", "Serving, side by side", summary, tables, plots)
