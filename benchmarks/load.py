"""Load: a workload put on a running server by wrk for some seconds, and what it cost."""

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import process_tree
from benchmarks.contenders import Running

SCRIPT = Path(__file__).with_name("request.lua")


@dataclass(frozen=True)
class Load:
    """How it is asked: over how many connections, with what body and headers."""

    path: str
    body: Path
    connections: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    changing: bool = False


@dataclass(frozen=True)
class Cost:
    """What a load came to: a second, at the latest for half and for nearly all, and each request.

    `cpu` is in microseconds a request, of all processes of the server together.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int


def put(server: Running, load: Load, seconds: int) -> Cost:
    """Put a load on a server.

    Raises:
        RuntimeError: wrk failed.
    """
    settings = {
        **os.environ,
        "BODY": str(load.body),
        "HEADERS": "\n".join(f"{name}:{value}" for name, value in load.headers.items()),
    }
    if load.changing:
        settings["CHANGING"] = "1"
    command = ["wrk", "--threads", "1", "--connections", str(load.connections)]
    command += ["--duration", f"{seconds}s", "--timeout", "30s", "--script", str(SCRIPT)]
    before = process_tree.cpu_seconds(server.pid)
    command.append(server.url + load.path)
    run = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"wrk: {run.stderr or run.stdout}")
    cpu = process_tree.cpu_seconds(server.pid) - before
    told = json.loads(run.stdout.splitlines()[-1])
    requests = max(told["requests"], 1)
    return Cost(
        rate=told["requests"] / told["seconds"],
        p50=told["p50_ms"],
        p99=told["p99_ms"],
        cpu=cpu / requests * 1e6,
        errors=told["errors"],
    )


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure by itself, and all errors."""

    def middle(name: str) -> float:
        return float(statistics.median(getattr(cost, name) for cost in costs))

    errors = sum(cost.errors for cost in costs)
    return Cost(middle("rate"), middle("p50"), middle("p99"), middle("cpu"), errors)
