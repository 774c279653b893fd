"""The server: cold start, memory, and what a request costs."""

import json
import time
from pathlib import Path

import urllib3

from tests.server import Server

REQUESTS = 2000


def resident(pid: int) -> float:
    """Return the memory of a process that it shares with nobody, in MiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return sum(int(fields[f"Private_{kind}"].split()[0]) for kind in ("Clean", "Dirty")) / 1024


def requests_a_second(server: Server, method: str, path: str, body: bytes | None) -> float:
    """Return how many requests one after the other get an answer on one connection."""
    with urllib3.PoolManager(maxsize=1) as pool:
        start = time.perf_counter()
        for _ in range(REQUESTS):
            pool.request(method, server.url + path, body=body).read()
        return REQUESTS / (time.perf_counter() - start)


def main(folder: Path) -> None:
    """Start a server, ask it, and print."""
    start = time.perf_counter()
    with Server(folder, workers=2) as server:
        print(
            f"cold start, training included, to the first 200   {time.perf_counter() - start:.2f} s"
        )
    start = time.perf_counter()
    with Server(folder, workers=2) as server:
        print(
            f"start with a version, to the first 200            {time.perf_counter() - start:.2f} s"
        )
        body = json.dumps({"lights": [1, 0, 1]}).encode()
        rates = {
            "GET /livez": requests_a_second(server, "GET", "/livez", None),
            "POST /predict": requests_a_second(server, "POST", "/predict", body),
            "POST /explain": requests_a_second(server, "POST", "/explain", body),
        }
        for route, rate in rates.items():
            ratio = rate / rates["GET /livez"]
            print(f"{route:<20} {rate:>8.0f} requests/s on one connection   ratio {ratio:.2f}")
        rows = json.dumps({"lights": [[1, 0, 1]] * 100_000}).encode()
        start = time.perf_counter()
        server.post("/predict/batch", rows)
        rate = 100_000 / (time.perf_counter() - start)
        print(f"POST /predict/batch  {rate:>8.0f} rows/s, JSON both ways")
        parent = server.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
        workers = [f"{resident(int(pid)):.0f}" for pid in children.split()]
        print(
            f"memory: parent {resident(parent):.0f} MiB, workers {', '.join(workers)} MiB (private)"
        )
