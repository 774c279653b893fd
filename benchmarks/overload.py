"""Benchmark of the largest requests: what each costs, and predictions beside twelve of them."""

import gzip
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import urllib3

from benchmarks import process_tree, results
from benchmarks.ledger import worker_of
from benchmarks.results import Table
from streetlight.service.validation.json_bounds import MAX_BYTES, MAX_PARTS
from tests.server import Server
from tests.service.server.processes import peak_mib, reset_peak
from tests.service.server.test_costs import LARGEST, NETWORKS, Call, Site
from tests.service.services import publish_network

CLIENTS = 12
SECONDS = 5.0
INTERVAL = 0.02
V1, V2 = "/v1/models/streetlight", "/v2/models/streetlight"
ROUTES = {
    "POST /predict/batch": "/predict/batch",
    "POST :predict": f"{V1}:predict",
    "POST :classify": f"{V1}:classify",
    "POST :regress": f"{V1}:regress",
    "POST :explain": f"{V1}:explain",
    "POST /invocations": "/invocations",
    "POST /v2/models/<model>/infer": f"{V2}/infer",
    "POST /observations": "/observations",
}


def calls(site: Site) -> Iterator[tuple[str, Call]]:
    """Yield a name for each of the largest requests, and the request."""
    for route, path in ROUTES.items():
        for i, call in enumerate(LARGEST[route](path, site), 1):
            yield f"`{path.removeprefix(V1).removeprefix(V2)}`, form {i}", call
    numbers = b",".join([b"0.123456789012345"] * 145_000)
    yield "`/predict`, one row of 145,000 numbers", Call("/predict", b'{"lights":[%s]}' % numbers)
    fields = b",".join([b'"k%d":1' % i for i in range(MAX_PARTS - 100)])
    yield "`:predict`, 50,000 fields", Call(f"{V1}:predict", b"{%s}" % fields)
    space = b" " * (MAX_BYTES - 2)
    yield "`:predict`, 4 MiB of spaces", Call(f"{V1}:predict", space + b"{}")


def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """Send a request with a compressed body, read the response, and return its status."""
    with urllib3.PoolManager(retries=False, timeout=30) as pool:
        encoded = {**headers, "Content-Encoding": "gzip"}
        return int(pool.request("POST", url, body=body, headers=encoded).status)


def attack(url: str, headers: Mapping[str, str], body: bytes, began: Event) -> None:
    """Send a request again and again from `CLIENTS` clients; set `began` after a response."""

    def repeat() -> None:
        end = time.monotonic() + SECONDS + 1
        while time.monotonic() < end:
            status = send(url, headers, body)
            began.set()
            if status == 503:
                time.sleep(0.1)  # a tenth of what `Retry-After` asks for

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(CLIENTS):
            clients.submit(repeat)


def measure_predictions(server: Server) -> list[float]:
    """Return the latencies of predictions of one row, sent one after the other, in seconds."""
    latencies = []
    end = time.perf_counter() + SECONDS
    with urllib3.PoolManager(maxsize=1, retries=False, timeout=30) as pool:
        while (sent := time.perf_counter()) < end:
            response = pool.request("POST", server.url + "/predict", json={"lights": [1, 0, 1]})
            if response.status != 200:
                raise RuntimeError(f"expected 200, got {response.status}: {response.data[:200]!r}")
            latencies.append(time.perf_counter() - sent)
            time.sleep(INTERVAL)
    return latencies


def measure(folder: Path, name: str, call: Call) -> list[str]:
    """Return the row of a request, from a new server."""
    body = gzip.compress(call.body, 1)
    with Server(folder) as server:
        worker = worker_of(server)
        send(f"{server.url}/predict", {}, gzip.compress(b'{"lights": [1, 0, 1]}'))
        idle, seconds = reset_peak(server), process_tree.cpu_seconds(worker)
        url, headers = server.url + call.path, dict(call.headers)
        status = send(url, headers, body)
        cost = [process_tree.cpu_seconds(worker) - seconds, peak_mib(server) - idle]
        # In a process of its own, so that it doesn't delay the predictions in this one.
        context = get_context("spawn")
        began = context.Event()
        attacker = context.Process(target=attack, args=(url, headers, body, began))
        attacker.start()
        began.wait()
        latencies = measure_predictions(server)
        attacker.join()
        return [
            name,
            f"{len(body):,}",
            str(status),
            f"{cost[0]:.2f}",
            f"{cost[1]:.0f}",
            f"{peak_mib(server):.0f}",
            *(f"{latency * 1e3:.1f}" for latency in np.percentile(latencies, (50, 99))),
        ]


def main(folder: Path) -> None:
    """Run the benchmark and write `results/overload.md`."""
    sizes = NETWORKS["lab"]
    publish_network(folder / "models", sizes)
    weights = sum(a * b for a, b in zip(sizes, [*sizes[1:], 1], strict=True))
    rows = [measure(folder, name, call) for name, call in calls(Site(sizes[0], weights))]
    header = ["request", "bytes sent", "status", "processor s", "MiB"]
    header += [f"MiB, {CLIENTS} at once", "p50, ms", "p99, ms"]
    note = (
        "The memory of one request is what it adds to the idle worker; that of twelve is the whole "
        "worker's. p50 and p99 are those of predictions beside them on one connection, each "
        "sent 20 ms after the response to the one before; all were answered."
    )
    summary = (
        "The largest requests that one worker admits, with the lab's network: what one of them "
        f"costs, and predictions while {CLIENTS} clients send it again and again. The bounds are "
        "in [decision 0024](../../docs/decisions/0024-the-cost-of-a-request-is-bounded.md)."
    )
    table = Table("The largest requests", header, rows, note)
    results.write("overload", "Overload", summary, [table])
