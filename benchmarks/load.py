"""Load on a running server by wrk for some seconds, and the cost of a request."""

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import process_tree
from benchmarks.servers import Running

SCRIPT = Path(__file__).with_name("request.lua")


@dataclass(frozen=True)
class Load:
    """The requests that wrk sends.

    Attributes:
        path: the path of every request.
        body: the file with the body.
        connections: number of connections.
        headers: additional headers.
        changing: whether the values of some headers differ between requests.
    """

    path: str
    body: Path
    connections: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    changing: bool = False


@dataclass(frozen=True)
class Cost:
    """The result of a load.

    Attributes:
        rate: requests a second.
        p50: median latency in milliseconds.
        p99: 99th percentile of the latency in milliseconds.
        cpu: processor time of all processes of the server, in microseconds a request.
        errors: number of requests without a successful response.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int


def measure(server: Running, load: Load, seconds: int) -> Cost:
    """Send `load` to `server` for `seconds` seconds and return the cost.

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
    result = json.loads(run.stdout.splitlines()[-1])
    requests = max(result["requests"], 1)
    return Cost(
        rate=result["requests"] / result["seconds"],
        p50=result["p50_ms"],
        p99=result["p99_ms"],
        cpu=cpu / requests * 1e6,
        errors=result["errors"],
    )


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure, and the sum of the errors."""

    def median_of(name: str) -> float:
        return float(statistics.median(getattr(cost, name) for cost in costs))

    errors = sum(cost.errors for cost in costs)
    return Cost(median_of("rate"), median_of("p50"), median_of("p99"), median_of("cpu"), errors)
