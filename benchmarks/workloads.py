"""The workloads of the benchmark `serving`: the requests that every contender gets.

The bodies are in `bodies`, wrk in `load`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bodies
from benchmarks.contenders import Contender
from benchmarks.load import Load

ROW = [1, 0, 1]
ONE, MANY, EXPLAIN, INFER, BINARY = "one", "many", "explain", "infer", "binary"


@dataclass(frozen=True)
class Workload:
    """The requests that every contender with `workers` workers gets.

    `path` is the name of the attribute of `Contender` that has the path, and determines the body.
    """

    title: str
    path: str = ONE
    rows: int = 1
    connections: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    changing: bool = False
    seconds: int = 1
    workers: int = 1


CONNECTIONS = (1, 8, 64)


def _kept(title: str, path: str) -> list[Workload]:
    return [
        Workload(f"{title}, {n} kept connection{'s'[: n > 1]}", path, connections=n)
        for n in CONNECTIONS
    ]


PREDICT, V2_PREDICT = _kept("One row", ONE), _kept("One row, V2", INFER)
THOUSAND = Workload("1,000 rows, JSON", MANY, 1_000)
EXPLAINED = Workload("One row, explained", EXPLAIN)
TWO_WORKERS = Workload("One row, 64 kept connections, 2 workers", connections=64, workers=2)
EACH = Workload("One row, a connection for each", headers={"Connection": "close"})
WORKLOADS = [
    *PREDICT,
    *V2_PREDICT,
    Workload("One row, one connection kept, headers that change", changing=True),
    EACH,
    EXPLAINED,
    TWO_WORKERS,
    THOUSAND,
    Workload("100,000 rows, JSON", MANY, 100_000, seconds=2),
    Workload("1,000 rows, V2 binary", BINARY, 1_000),
    Workload("1,000,000 rows, V2 binary", BINARY, 1_000_000, seconds=2),
]


def load_of(contender: Contender, workload: Workload, folder: Path) -> Load | None:
    """Return the load of a workload for a contender, or `None` if it doesn't take part."""
    path: str | None = getattr(contender, workload.path)
    if path is None or contender.workers != workload.workers:
        return None
    headers = dict(workload.headers)
    rows = [ROW] * workload.rows
    if workload.path == BINARY:
        body, tensor_headers = bodies.binary_rows(rows)
        headers |= tensor_headers
    elif workload.path == MANY:
        body = bodies.many_rows(contender.v2, rows)
    else:
        body = bodies.one_row(contender.v2 or workload.path == INFER)
    file = folder / f"{workload.path}-{workload.rows}-{contender.v2}"
    if not file.exists():
        file.write_bytes(body)
    return Load(path, file, workload.connections, headers, workload.changing)
