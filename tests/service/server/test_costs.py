"""No request costs more than a second and 256 MiB: every route gets its largest admitted input."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.service.inference.codecs import batch_json, explanations
from streetlight.service.inference.codecs.batch_json import NUMBER_BYTES
from streetlight.service.inference.pressure import SIGN_BYTES
from streetlight.service.inference.scratch_training import training_cost
from streetlight.service.validation.fields import MAX_LIGHTS
from streetlight.service.validation.json_bounds import MAX_PARTS
from streetlight.service.web.api.observations_csv import MAX_ROWS
from tests.client import App
from tests.server import ForkedServer, Server
from tests.service.conftest import until
from tests.service.server.processes import cpu_seconds, peak_mib, reset_peak
from tests.service.services import publish_network

pytestmark = pytest.mark.process

# The goal is 1 s. Processor time, not wall time, but processors that are shared are slower.
MAX_SECONDS = 3.0
MAX_MIB = 256
MULTIPLICATIONS = 500_000_000
RESPONSE = 32 * 1024 * 1024
MODEL = "streetlight"
JSON, CSV = "application/json", "text/csv"
# Networks for which the response, the rows, or the multiplications are what bounds a request.
NETWORKS = {"lab": (3, 4), "wide": (64, 1024, 1000)}


class Call(NamedTuple):
    """A request. The body is sent as gzip."""

    path: str
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    status: int = 200


class Site(NamedTuple):
    """The live network."""

    lights: int
    weights: int

    def rows(self, bytes_per_row: int, multiplications: int = 0) -> int:
        """Return the largest number of rows that is admitted."""
        return min(
            MULTIPLICATIONS // (multiplications or self.weights),
            RESPONSE // bytes_per_row,
            batch_json.MAX_NUMBERS // self.lights,
        )

    def row_list(self, count: int, light: str = "1") -> bytes:
        """Return so many rows as JSON."""
        row = b"[%s]" % b",".join([light.encode()] * self.lights)
        return b"[%s]" % b",".join([row] * count)

    def explained(self) -> int:
        """Return the largest number of rows that `explain` of V1 admits."""
        a_row = explanations.ROW_MULTIPLICATIONS + (2 * self.lights + 4) * self.weights
        return max(MULTIPLICATIONS // a_row, 1)


def query(
    parameters: str = "", refused: bool = False, status: int = 200
) -> Callable[[str, Site], Iterator[Call]]:
    """Return a builder of one request, which is refused for a wide network if `refused`."""

    def build(path: str, site: Site) -> Iterator[Call]:
        is_wide = site.weights > MULTIPLICATIONS // 1000
        yield Call(path + parameters, status=413 if refused and is_wide else status)

    return build


def one_row(path: str, site: Site) -> Iterator[Call]:
    yield Call(path, b'{"lights":[%s]}' % b",".join([b"0.123456789012345"] * site.lights))


def predict_query(path: str, site: Site) -> Iterator[Call]:
    yield Call(f"{path}?lights={','.join(['1'] * site.lights)}")


def step(path: str, site: Site) -> Iterator[Call]:
    lights = [1] * site.lights
    status = 200 if site.weights < 100_000 else 413
    yield Call(path, json.dumps({"lights": lights, "outcome": "walk"}).encode(), status=status)
    largest = json.dumps(
        {"lights": lights, "outcome": "walk", "seed": 1, "hidden_sizes": [250, 320]}
    )
    yield Call(path, largest.encode())


def fit(path: str, _site: Site) -> Iterator[Call]:
    """Yield the longest trainings of different kinds of networks and batches."""
    for sizes, rows, batch_size in (
        ((64, 30), 1000, 1),
        ((1,), 1, 1),
        ((1000, 1), 1, 1),
        ((3, 4), 10_000, None),
        ((3, 4), 100, 2),
        ((2,) * 9, 2, 2),
        ((16, 16, 16), 1000, 8),
        ((16, 16), 8_000, None),
        ((17,), 8_000, 2),
        ((64, 100), 100, 1),
        ((64, 1000, 30), 1, 1),
        ((64, 250, 320), 1000, None),
    ):
        network = Network(tuple(np.ones(shape) for shape in pairwise([*sizes, 1])))
        recipe = Recipe(sizes[1:], 1e-9, 1, batch_size, weight_decay=0.1, l1_penalty=0.1)
        first, second = (
            training_cost(network, rows, replace(recipe, iterations=n)).multiplications
            for n in (1, 2)
        )
        iterations = 1 + (MULTIPLICATIONS - first) // (second - first)
        row = {"lights": [1] * sizes[0], "outcome": "walk"}
        fields = {"hidden_sizes", "alpha", "batch_size", "weight_decay", "l1_penalty"}
        chosen = {name: value for name, value in vars(recipe).items() if name in fields}
        body = {"rows": [row] * rows, "recipe": chosen | {"iterations": iterations}}
        yield Call(path, json.dumps(body).encode())


def pressure(path: str, _site: Site) -> Iterator[Call]:
    """Yield tables with the most numbers, and with the most rows."""
    for lights, hidden, rows in ((3, [4], 10_000), (65, [256], 2048), (64, [1024, 30], 1)):
        sizes = [lights, *hidden, 1]
        weights = sum(a * b for a, b in pairwise(sizes))
        limit = min(1000, (RESPONSE // weights - 3 * NUMBER_BYTES) // (NUMBER_BYTES + SIGN_BYTES))
        row = {"lights": [i % 2 for i in range(lights)], "outcome": "walk"}
        body = {"rows": [row] * rows, "hidden_sizes": hidden, "limit": limit}
        yield Call(path, json.dumps(body).encode())


def batch(path: str, site: Site) -> Iterator[Call]:
    count = site.rows(batch_json.NUMBER_BYTES + batch_json.DECISION_BYTES)
    yield Call(path, b'{"lights":%s}' % site.row_list(count))
    yield Call(path, b'{"lights":%s}' % site.row_list(count // 2, "0.5"))


def columns(field: str, bytes_per_row: int) -> Callable[[str, Site], Iterator[Call]]:
    """Return a builder of rows as arrays, and of as many as are admitted as objects."""

    def build(path: str, site: Site) -> Iterator[Call]:
        count = site.rows(bytes_per_row)
        yield Call(path, b'{"%s":%s}' % (field.encode(), site.row_list(count)))
        rows = site.row_list(min(count, MAX_PARTS - 100, 145_000 // site.lights))
        yield Call(path, b'{"%s":%s,"x":0}' % (field.encode(), rows))

    return build


def explain(path: str, site: Site) -> Iterator[Call]:
    yield Call(path, b'{"instances":%s}' % site.row_list(site.explained()))


def invoke(path: str, site: Site) -> Iterator[Call]:
    count = site.rows(batch_json.COLUMN_BYTES)
    line = b",".join([b"1"] * site.lights) + b"\n"
    yield Call(path, line * count, {"Content-Type": CSV})
    yield Call(path, line * count, {"Content-Type": CSV, "Accept": CSV})
    few = min(count, MAX_PARTS - 100, 145_000 // site.lights)
    yield Call(path, line.replace(b"1", b"+1") * few, {"Content-Type": CSV})
    yield Call(path, b'{"dataframe_split":{"data":%s}}' % site.row_list(few))


def infer(path: str, site: Site) -> Iterator[Call]:
    count = site.rows(batch_json.NUMBER_BYTES + batch_json.DECISION_BYTES)
    tensor: dict[str, Any] = {"name": "lights", "datatype": "UINT8", "shape": [count, site.lights]}
    tensor["parameters"] = {"binary_data_size": count * site.lights}
    head = json.dumps({"inputs": [tensor]}).encode()
    length = {"Inference-Header-Content-Length": str(len(head)), "Accept-Encoding": "gzip"}
    yield Call(path, head + b"\1" * (count * site.lights), length)
    few = min(count, 145_000 // site.lights)
    tensor = {"name": "lights", "datatype": "FP64", "shape": [few, site.lights]}
    numbers = b",".join([b"0.5"] * few * site.lights)
    head = json.dumps({"inputs": [tensor]}).encode()
    yield Call(path, head[:-3] + b',"data":[%s]}]}' % numbers)


def observations(path: str, site: Site) -> Iterator[Call]:
    count = min(MAX_ROWS, MULTIPLICATIONS // site.weights, 145_000 // (site.lights + 1))
    rows = [
        {"lights": [i] * site.lights, "outcome": "walk" if i % 2 else "stop"} for i in range(count)
    ]
    yield Call(path, json.dumps({"observations": rows}).encode(), status=201)
    lines = [",".join([*map(str, row["lights"]), str(row["outcome"])]) for row in rows]
    header = ",".join([*(f"light_{i}" for i in range(site.lights)), "outcome"])
    yield Call(path, "\n".join([header, *lines]).encode(), {"Content-Type": CSV}, 201)


def predictions(path: str, _site: Site) -> Iterator[Call]:
    yield Call(path + "?limit=1000")
    yield Call(path + "?limit=1000&format=jsonl")


def retrain(path: str, _site: Site) -> Iterator[Call]:
    must_hold = [{"lights": [i] * MAX_LIGHTS, "outcome": "walk"} for i in range(1024)]
    yield Call(path, json.dumps({"must_hold": must_hold}).encode(), status=202)
    for count, lights in ((MAX_ROWS, 3), (145_000 // (MAX_LIGHTS + 1), MAX_LIGHTS)):
        rows = [
            {"lights": [i] * lights, "outcome": "walk" if i % 2 else "stop"} for i in range(count)
        ]
        yield Call(path, json.dumps({"rows": rows}).encode(), status=202)


Builder = Callable[[str, Site], Iterator[Call]]
PREDICT = columns("instances", batch_json.COLUMN_BYTES)
CLASSIFY = columns("examples", 2 * batch_json.NUMBER_BYTES + 24)
REGRESS = columns("examples", batch_json.NUMBER_BYTES)

# The largest input that each route admits, by the rule. A path `:verb` is that of V1 and a model.
LARGEST: dict[str, Builder] = {
    "GET /predict": predict_query,
    "POST /predict": one_row,
    "POST /predict/batch": batch,
    "POST /explain": one_row,
    "POST /fit": fit,
    "POST /pressure": pressure,
    "POST /step": step,
    "POST :predict": PREDICT,
    "POST :explain": explain,
    "POST :classify": CLASSIFY,
    "POST :regress": REGRESS,
    "POST /v2/models/<model>/infer": infer,
    "POST /v2/models/<model>/versions/<version>/infer": infer,
    "POST /v2/repository/index": query(),
    "POST /invocations": invoke,
    "POST /endpoints/<model>/invocations": invoke,
    "GET /versions/<version:number>/pressure": query("?limit=1000", refused=True),
    "GET /versions/<version:number>/accuracy": query("?window=100&limit=1000"),
    "GET /versions/<version:a>/diff/<version:b>": query(refused=True),
    "GET /observations": query("?limit=1000"),
    "GET /observations/<int:number>": query(status=404),
    "GET /predictions": predictions,
    "GET /versions": query("?limit=1000"),
    "GET /jobs": query("?limit=1000"),
    "POST /observations": observations,
    "DELETE /observations/<int:number>": query(status=404),
    "GET /webhook/deliveries": query("?limit=1000"),
    "POST /webhook/test": query(status=409),
    "POST /webhook/deliveries/<int:number>/retry": query(status=404),
    "POST /retrain": retrain,
    "POST /versions/<version:number>/promote": query(),
    "POST /rollback": query(status=409),
    "POST /v2/repository/models/<model>/load": query(),
    # The route before, in alphabetical order, of the one that promotes the version again.
    "POST /v2/repository/models/<model>/unload": query(),
}
# Routes whose cost doesn't depend on the request.
PLAIN = [
    "/livez",
    "/readyz",
    "/metrics",
    "/hosts",
    "/versions/<version:number>",
    "/versions/<version:number>/weights",
    "/ping",
    "/health",
    "/version",
    "/openapi.json",
    "/docs",
    "/",
    "/tutorial",
    "/v1/models",
    "/v1/models/<model>",
    "/v1/models/<model>/versions/<version>",
    "/v1/models/<model>/labels/<label>",
    "/v1/models/<model>/metadata",
    "/v1/models/<model>/versions/<version>/metadata",
    "/v1/models/<model>/labels/<label>/metadata",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models",
    "/v2/models/<model>",
    "/v2/models/<model>/versions/<version>",
    "/v2/models/<model>/ready",
    "/v2/models/<model>/versions/<version>/ready",
    "/v2/models/<model>/config",
    "/v2/models/<model>/versions/<version>/config",
    "/v2/models/<model>/stats",
    "/v2/models/<model>/versions/<version>/stats",
    "/v2/models/stats",
]
LARGEST |= {f"GET {path}": query() for path in PLAIN}
# Files; jobs; events; what runs in a process of its own; what versions/test_costs.py asks.
EXEMPT = {
    "POST /versions/<version:number>/shadow",
    "POST /versions/<version:number>/verify",
    "GET /docs/<name>",
    "GET /page/<path:name>",
    "GET /tutorial/<name>",
    "GET /events",
    "GET /jobs/<int:number>",
    "GET /jobs/<int:number>/events",
    "DELETE /jobs/<int:number>",
}
VALUES = {
    "<model>": MODEL,
    "<version>": "1",
    "<label>": "live",
    "<int:number>": "1",
    "<version:number>": "1",
    "<version:a>": "1",
    "<version:b>": "1",
}


def all_routes(app: App) -> Iterator[str]:
    """Yield the method and the rule of each route."""
    for rule in app.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {rule.rule}"


def builder_of(route: str) -> Builder | None:
    """Return the builder of a route: all routes of a verb of V1 have the same."""
    method, _, rule = route.partition(" ")
    verb = rule.rpartition(">:")[2]
    return LARGEST.get(f"{method} :{verb}" if ">:" in rule else route)


def test_every_route_has_a_largest_input(shared_app: App) -> None:
    missing = [
        route
        for route in all_routes(shared_app)
        if route not in EXEMPT and builder_of(route) is None
    ]
    assert not missing, f"add the largest input that is admitted to LARGEST, for {missing}"


@pytest.fixture(scope="module", params=NETWORKS)
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Site]]:
    """A server of one of the networks."""
    sizes = NETWORKS[request.param]
    data = tmp_path_factory.mktemp("costs")
    publish_network(data / "models", sizes, rows=1000)
    weights = sum(a * b for a, b in zip(sizes, [*sizes[1:], 1], strict=True))
    with ForkedServer(data, start_empty=True, prediction_log=True) as server:
        for _ in range(10):
            server.post("/predict/batch", {"lights": [[0.123456789] * sizes[0]] * 100})
        until(lambda: len(server.get("/predictions?limit=1000")["predictions"]) == 1000)
        yield server, Site(sizes[0], weights)


def test_the_largest_input_of_each_route_is_bounded(
    live: tuple[Server, Site], shared_app: App
) -> None:
    server, site = live
    costs = {}
    # The further forms of a request differ in how it is decoded, whatever the network.
    forms = 1 if site.weights > 1000 else None
    # One route of those that differ only in how the version is named.
    routes = {builder_of(route): route for route in sorted(all_routes(shared_app))}
    for build, route in routes.items():
        if build is None:
            continue
        path = route.partition(" ")[2]
        for name, value in VALUES.items():
            path = path.replace(name, value)
        for i, call in enumerate(islice(build(path, site), forms)):
            before, seconds = reset_peak(server), cpu_seconds(server)
            body = gzip.compress(call.body, 1) if call.body else None
            headers = {**call.headers, **({"Content-Encoding": "gzip"} if body else {})}
            response = server.request(route.split()[0], call.path, body, **headers)
            assert response.status == call.status, (route, i, response.data[:300])
            costs[route, i] = (cpu_seconds(server) - seconds, peak_mib(server) - before)
    for cost in sorted(costs.items(), key=lambda item: item[1])[-10:]:
        print(cost)
    assert max(seconds for seconds, _ in costs.values()) < MAX_SECONDS, costs
    assert max(mib for _, mib in costs.values()) < MAX_MIB, costs
