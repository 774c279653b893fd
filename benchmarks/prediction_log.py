"""Benchmark of the prediction log: its cost, what it loses under overload, and 10^7 rows."""

import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import urllib3

from benchmarks import bodies, results
from benchmarks.contenders import CONTENDERS, STREETLIGHT
from benchmarks.load import Load, measure
from benchmarks.results import Table
from benchmarks.servers import Running, running
from streetlight.service.config.settings import Settings
from streetlight.service.prediction_log import queries
from streetlight.service.prediction_log.queries import Filter
from streetlight.service.prediction_log.recorder import Recorder
from streetlight.service.wiring import build_services, initialize
from tests.server import streetlight

ROUNDS = int(os.environ.get("ROUNDS", "15"))
OVERLOAD_SECONDS = 10
ROWS = 10**7
INSERT_SIZE = 500
OFF, ON = "off", "on"
CONNECTIONS = (1, 8)


def start(stack: ExitStack, folder: Path, *, log: bool) -> Running:
    """Start a server of one worker."""
    contender = next(c for c in CONTENDERS if c.name == STREETLIGHT)
    settings = {**contender.settings, "STREETLIGHT_PREDICTION_LOG": str(log)}
    data = folder / (ON if log else OFF)
    data.mkdir()
    if (trained := streetlight("train", data_dir=data)).returncode:
        raise RuntimeError(trained.stderr)
    return stack.enter_context(running(replace(contender, settings=settings), data, data / "log"))


def cost(folder: Path) -> Table:
    """Return a table of the processor time of a prediction with the log on and off, in turns."""
    body, rows = folder / "body", []
    body.write_bytes(bodies.one_row(v2=False))
    with ExitStack() as stack:
        servers = {OFF: start(stack, folder, log=False), ON: start(stack, folder, log=True)}
        for connections in CONNECTIONS:
            load = Load("/predict", body, connections)
            turns = [
                {name: measure(server, load, 1) for name, server in servers.items()}
                for _ in range(ROUNDS)
            ]
            off, on = (statistics.median(turn[name].cpu for turn in turns) for name in servers)
            ratios = [turn[ON].cpu / turn[OFF].cpu for turn in turns]
            p99 = [statistics.median(turn[name].p99 for turn in turns) for name in servers]
            ratio = f"{statistics.median(ratios):.3f}"
            cells = [f"{off:.0f}", f"{on:.0f}", ratio, f"{p99[0]:.2f}", f"{p99[1]:.2f}"]
            rows.append([f"{connections} connections", *cells])
    header = ["", "CPU us, off", "CPU us, on", "on / off", "p99 ms, off", "p99 ms, on"]
    note = (
        f"POST /predict by the fast path; medians of {ROUNDS} rounds of a second each, in turns. "
        "The CPU is that of all processes of the server, with the thread that writes the log."
    )
    return Table("The cost of a prediction", header, rows, note)


def counts(server: Running) -> dict[str, int]:
    """Return what the server has counted of its log."""
    text = urllib3.request("GET", f"{server.url}/metrics").data.decode()
    lines = [line for line in text.splitlines() if "prediction_log_rows_total{" in line]
    pairs = [line.partition('result="')[2].split('"} ') for line in lines]
    return {result: int(float(value)) for result, value in pairs}


def overload(folder: Path) -> Table:
    """Return a table of what a server logs of as many predictions as it can answer."""
    folder.mkdir()
    table_rows = []
    for name, path, count in (
        ("one row", "/predict", 1),
        ("batches of 100 rows", "/predict/batch", 100),
    ):
        data = folder / str(count)
        data.mkdir()
        body = data / "body"
        rows = [[1, 0, 1]] * count
        body.write_bytes(bodies.many_rows(False, rows) if count > 1 else bodies.one_row(v2=False))
        with ExitStack() as stack:
            server = start(stack, data, log=True)
            answered = measure(server, Load(path, body, 32), OVERLOAD_SECONDS)
            deadline = time.monotonic() + 60
            while (sent := sum((found := counts(server)).values())) != (
                predicted := _predicted(server)
            ):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"expected {predicted} rows to be counted, got {sent}")
                time.sleep(0.1)
        written, dropped = found["written"], sent - found["written"]
        table_rows.append(
            [
                name,
                f"{answered.rate * count:,.0f}",
                f"{written / OVERLOAD_SECONDS:,.0f}",
                f"{written:,} + {dropped:,} = {sent:,}",
                f"{dropped / sent:.1%}",
            ]
        )
    note = (
        f"32 connections for {OVERLOAD_SECONDS} s. What isn't written is counted as `buffer_full`; "
        "the sum is that of the predictions in `/metrics`."
    )
    header = ["", "rows/s predicted", "rows/s written", "written + dropped = sent", "dropped"]
    return Table("Overload", header, table_rows, note)


def _predicted(server: Running) -> int:
    text = urllib3.request("GET", f"{server.url}/metrics").data.decode()
    lines = [line for line in text.splitlines() if "streetlight_predictions_total{" in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def growth(folder: Path, count: int = ROWS) -> Table:
    """Return a table of the time of each query, and of retention, with `count` rows."""
    services = build_services(Settings(data_dir=folder, prediction_log=True, start_empty=True))
    folder.mkdir()
    initialize(services)
    engine = services.require_prediction_log()
    columns = "at, request_id, row, dialect, version, lights, score, decision"
    mark = f"({', '.join('?' * 8)})"
    statement = f"INSERT INTO predictions ({columns}) VALUES {', '.join([mark] * INSERT_SIZE)}"  # noqa: S608 - no values
    first, began = time.time() - count / 10, time.perf_counter()
    for start_row in range(0, count, INSERT_SIZE * 100):
        with engine.begin() as connection:
            for base in range(start_row, start_row + INSERT_SIZE * 100, INSERT_SIZE):
                values: list[object] = []
                for i in range(base, base + INSERT_SIZE):
                    at = first + i / 10
                    # A version each tenth of the time; the last in 1 of 100,000 requests before.
                    version = 11 if i % 100_000 == 0 else 1 + 10 * i // count
                    request_id = f"{int(at * 1e9) << 64 | i:032x}"
                    values += [at, request_id, 0, "native", version, "[1.0, 0.0, 1.0]", 1.0, 1]
                connection.exec_driver_sql(statement, tuple(values))
    took = time.perf_counter() - began
    rows = [["insert, in large transactions", f"{took * 1e3 / count * 1e3:,.1f} us a row", ""]]

    def add(step: str, call: Callable[[], object]) -> None:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            result = call()
            times.append(time.perf_counter() - began)
        note = f"{len(result.predictions)} rows" if isinstance(result, queries.Page) else ""
        rows.append([step, f"{statistics.median(times) * 1e3:,.1f} ms", note])

    def page(after: int = 0, **conditions: Any) -> Callable[[], object]:  # noqa: ANN401 - of `Filter`
        return lambda: queries.page(engine, Filter(**conditions), after, 100)

    middle = first + count / 20
    request_id = f"{int(middle * 1e9) << 64 | (count // 2):032x}"
    add("the first page", page())
    add("the newest page, by `after`", page(after=count - 100))
    add("the newest page, by `since`", page(since=first + count / 10 - 10))
    add("a page from the middle, by `since`", page(since=middle))
    add("by `request_id`", page(request_id=request_id))
    add("by `version`, which answered in the middle, and `since`", page(since=middle, version=6))
    add("by a rare `version`, and `since`", page(since=middle, version=11))
    add("by a version without rows", page(version=99))
    add("by a decision without rows, one page", page(decision="stop"))
    recorder = Recorder(engine, 1, count // 2, 10**9)
    add("retention: delete the oldest 1,000 rows", recorder.write)
    size = (folder / "predictions.db").stat().st_size
    rows.append(["size of the file", f"{size / 2**20:,.0f} MiB", f"{size / count:.0f} bytes a row"])
    return Table(f"{count:,} rows in SQLite", ["", "", ""], rows, "Pages of 100; medians of 5.")


def main(folder: Path) -> None:
    """Run the benchmark and write `results/prediction_log.md`."""
    tables = [cost(folder), overload(folder / "overload"), growth(folder / "growth")]
    summary = "The log of predictions in SQLite, one worker."
    results.write("prediction_log", "The prediction log", summary, tables)
