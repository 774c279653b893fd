"""Benchmark of predictions by all contenders, which serve the same network, measured in turns.

The variables `CONTENDERS` and `WORKLOADS` in the environment are regular expressions that select
some of them by name, and `ROUNDS` is the number of rounds. If one is set, the tables are printed
and not written to `results/`.
"""

import os
import re
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import load, process_tree, results
from benchmarks.contenders import (
    CONTENDERS,
    FASTAPI,
    FLASK,
    FLOOR,
    ROBYN,
    STREETLIGHT,
    TRITON,
)
from benchmarks.load import Cost
from benchmarks.results import Plot, Table
from benchmarks.servers import NotInstalledError, Running, running
from benchmarks.startup import starts
from benchmarks.workloads import (
    CONNECTIONS,
    EACH,
    EXPLAINED,
    PREDICT,
    THOUSAND,
    TWO_WORKERS,
    V2_PREDICT,
    WORKLOADS,
    Workload,
    load_of,
)
from tests.server import streetlight

ROUNDS = int(os.environ.get("ROUNDS", "7"))
SHORT = bool({"CONTENDERS", "WORKLOADS", "ROUNDS"} & set(os.environ))


def selected(variable: str, name: str) -> bool:
    """Return whether the expression in an environment variable is absent or found in a name."""
    return bool(re.search(os.environ.get(variable, ""), name, re.IGNORECASE))


def measured(workload: Workload, servers: Sequence[Running], folder: Path) -> dict[str, list[Cost]]:
    """Run a workload on all servers in turns, and return the costs by name of the server."""
    loads = [(server, load_of(server.contender, workload, folder)) for server in servers]
    costs: dict[str, list[Cost]] = {}
    for turn in range(ROUNDS + 1):
        for server, server_load in loads:
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


def ratios(costs: Mapping[str, Mapping[str, list[Cost]]]) -> list[Table]:
    """Return the ratios to other servers, each the median over the ratios of the rounds."""

    def ratio(workload: Workload, figure: str, other: str) -> str:
        by_name = costs.get(workload.title, {})
        pairs = zip(by_name.get(STREETLIGHT, []), by_name.get(other, []), strict=False)
        values = [getattr(ours, figure) / getattr(theirs, figure) for ours, theirs in pairs]
        return f"{statistics.median(values):.2f}" if values else "not measured"

    kept = [
        [f"{path}, {other}", *(ratio(workload, "cpu", other) for workload in workloads), aim]
        for path, workloads, other, aim in (
            ("`/predict`", PREDICT, FASTAPI, "0.33"),
            ("`/predict`", PREDICT, ROBYN, "0.7"),
            ("`/predict`", PREDICT, FLOOR, "2.0"),
            ("V2 `infer`", V2_PREDICT, TRITON, "1.0"),
        )
    ]
    rows = [
        [f"{workload.title}: {title}, {other}", ratio(workload, figure, other), aim]
        for workload, title, figure, other, aim in (
            (PREDICT[0], "requests/s", "rate", FASTAPI, "at least 1.5"),
            (PREDICT[0], "p99", "p99", FASTAPI, "at most 1.0"),
            (EXPLAINED, "CPU", "cpu", FLASK, "at most 0.9"),
            (THOUSAND, "rows/s", "rate", FASTAPI, "at least 2.0"),
            (TWO_WORKERS, "requests/s", "rate", FASTAPI, "at least 2.5"),
        )
    ]
    counts = [f"{count} kept" for count in CONNECTIONS]
    return [
        Table("CPU of one row, ratio to others", ["", *counts, "aim: at most"], kept),
        Table("Other ratios", ["", "ratio", "aim"], rows),
    ]


def main(folder: Path) -> None:
    """Run the benchmark and write `results/serving.md`."""
    if (trained := streetlight("train", data_dir=folder)).returncode:
        raise RuntimeError(trained.stderr)
    absent: list[list[str]] = []
    with ExitStack() as stack:
        servers = []
        for contender in CONTENDERS:
            if contender.name != STREETLIGHT and not selected("CONTENDERS", contender.name):
                continue
            log = folder / f"{contender.name.replace(' ', '-')}-{contender.workers}.log"
            try:
                servers.append(stack.enter_context(running(contender, folder, log)))
            except (NotInstalledError, RuntimeError) as error:
                absent.append([contender.name, str(error)])
        costs, measurements = {}, []
        for workload in (w for w in WORKLOADS if selected("WORKLOADS", w.title)):
            costs[workload.title] = measured(workload, servers, folder)
            measurements.append(table(workload, costs[workload.title]))
            print(measurements[-1], flush=True)
        single = [server for server in servers if server.contender.workers == 1]
        after = {server.contender.name: process_tree.pss(server.pid) for server in single}
    tables = [*ratios(costs), *measurements]
    if selected("WORKLOADS", "Start and memory"):
        tables.append(starts([server.contender for server in single], after, folder))
    if absent:
        tables.append(Table("Not measured", ["", "why"], absent))
    if SHORT:
        print("\n".join(map(str, tables)))
        return
    plots = [
        Plot(
            workload.title,
            "CPU microseconds a request",
            bars={n: c.cpu for n, c in medians.items() if not c.errors},
            marked=STREETLIGHT,
        )
        for workload in (PREDICT[0], EACH, THOUSAND)
        for medians in [{name: load.median(turns) for name, turns in costs[workload.title].items()}]
    ]
    packages = sorted({c.packages for c in CONTENDERS if c.packages})
    summary = (
        "All servers have the same network, and one worker unless the table says otherwise. They "
        "run at the same time, and wrk sends requests to one after another over loopback; medians "
        f"of {ROUNDS} rounds. CPU is the sum over all processes of a server. "
        f"{results.peers(*packages)}"
    )
    results.write("serving", "Serving, side by side", summary, tables, plots)
