"""Tests of servers that log predictions: each protocol, a stop, and a database that is away."""

import gzip
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, select

from streetlight.service.config.settings import Settings
from streetlight.service.store.tables import predictions as table
from streetlight.service.wiring import build_services
from tests import databases
from tests.server import ForkedServer, Server
from tests.service.conftest import until

pytestmark = pytest.mark.process

WALK, STOP = [1, 0, 1], [0, 0, 1]
ROW, ROWS = json.dumps(WALK), json.dumps([WALK, STOP])
MODEL_1, MODEL_2 = "/v1/models/streetlight", "/v2/models/streetlight"
TENSOR: dict[str, Any] = {"name": "lights", "shape": [2, 3]}
CSV = {"Content-Type": "text/csv"}


class Call(NamedTuple):
    """A request, and what the log must hold of it."""

    path: str
    body: str | bytes | None
    dialect: str = "native"
    headers: Mapping[str, str] = MappingProxyType({})
    states: Sequence[list[int]] = (WALK, STOP)


def v2_json(datatype: str) -> str:
    return json.dumps({"inputs": [{**TENSOR, "datatype": datatype, "data": [WALK, STOP]}]})


def v2_binary(*, compressed: bool) -> Call:
    tensor = {**TENSOR, "datatype": "UINT8", "parameters": {"binary_data_size": 6}}
    head = json.dumps({"inputs": [tensor]}).encode()
    body, headers = (
        head + bytes([*WALK, *STOP]),
        {"Inference-Header-Content-Length": str(len(head))},
    )
    if compressed:  # not on the fast path
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    return Call(f"{MODEL_2}/infer", body, "v2", headers)


CALLS = {
    "post": Call("/predict", f'{{"lights": {ROW}}}', states=[WALK]),
    "gzip": Call(
        "/predict",
        gzip.compress(f'{{"lights": {ROW}}}'.encode()),
        headers={"Content-Encoding": "gzip"},
        states=[WALK],
    ),
    "get": Call("/predict?lights=0,0,1", None, states=[STOP]),
    "batch": Call("/predict/batch", f'{{"lights": {ROWS}}}'),
    "explain": Call("/explain", f'{{"lights": {ROW}}}', states=[WALK]),
    "v1-rows": Call(f"{MODEL_1}:predict", f'{{"instances": {ROWS}}}', "v1"),
    "v1-columns": Call(f"{MODEL_1}/labels/live:predict", f'{{"inputs": {ROWS}}}', "v1"),
    "v1-explain": Call(f"{MODEL_1}:explain", f'{{"instances": {ROWS}}}', "v1"),
    "v1-classify": Call(f"{MODEL_1}:classify", f'{{"examples": {ROWS}}}', "v1"),
    "v1-regress": Call(f"{MODEL_1}/versions/1:regress", f'{{"examples": {ROWS}}}', "v1"),
    "v2-json": Call(f"{MODEL_2}/infer", v2_json("FP32"), "v2"),
    "v2-version": Call(f"{MODEL_2}/versions/1/infer", v2_json("INT64"), "v2"),
    "v2-binary": v2_binary(compressed=False),
    "v2-binary-gzip": v2_binary(compressed=True),
    "invocations": Call("/invocations", ROWS, "invocations"),
    "invocations-csv": Call("/invocations", "1,0,1\n0,0,1\n", "invocations", CSV),
}


@pytest.fixture
def logging_server(tmp_path: Path, database_url: str | None) -> Iterator[Server]:
    settings = {"database_url": database_url} if database_url else {}
    with ForkedServer(tmp_path, prediction_log=True, **settings) as server:
        yield server


@pytest.fixture
def stored(logging_server: Server, database_url: str | None) -> Iterator[Engine]:
    """An engine on the log of the server."""
    settings = Settings(
        data_dir=logging_server.data_dir, database_url=database_url, prediction_log=True
    )
    engine = build_services(settings).require_prediction_log()
    yield engine
    engine.dispose()


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def counts(server: Server) -> dict[str, int]:
    name = "streetlight_prediction_log_rows_total"
    lines = server.request("GET", "/metrics").data.decode().splitlines()
    counted = [line.partition('result="')[2].split('"} ') for line in lines if name + "{" in line]
    return {result: int(float(value)) for result, value in counted if float(value)}


def test_every_protocol_leaves_its_rows(logging_server: Server, stored: Engine) -> None:
    scores = {}
    for state in (WALK, STOP):
        predicted = logging_server.post("/predict", {"lights": state})
        scores[str(state)] = (predicted["score"], int(predicted["decision"] == "walk"))
    began = time.time()
    for name, call in CALLS.items():
        method = "GET" if call.body is None else "POST"
        headers = {"Content-Type": "application/json", **call.headers, "X-Request-ID": name}
        response = logging_server.request(method, call.path, call.body, **headers)
        assert response.status == 200, (name, response.data)
        # An invalid request leaves no row.
        invalid = {**headers, "X-Request-ID": f"invalid {name}"}
        logging_server.request(method, call.path.replace("0,0,1", "x"), "x", **invalid)
    logging_server.stop()

    found = rows(stored)[2:]
    for name, call in CALLS.items():
        expected = [
            (i, call.dialect, 1, json.dumps([float(light) for light in state]), *scores[str(state)])
            for i, state in enumerate(call.states)
        ]
        logged = [tuple(row)[3:] for row in found if row.request_id == name]
        assert logged == expected, name
    assert {row.request_id for row in found} == set(CALLS)
    assert all(began <= row.at <= time.time() for row in found)


def test_a_stop_loses_nothing(logging_server: Server, stored: Engine) -> None:
    ids = [
        logging_server.request("GET", "/predict?lights=1,0,1").headers["X-Request-ID"]
        for _ in range(200)
    ]
    assert logging_server.stop() == 0

    assert [row.request_id for row in rows(stored)] == ids
    assert [row.id for row in rows(stored)] == list(range(1, 201))


def test_a_database_that_is_away_delays_no_prediction(
    logging_server: Server, stored: Engine
) -> None:
    def answered() -> float:
        began = time.monotonic()
        logging_server.post("/predict", {"lights": WALK})
        return time.monotonic() - began

    url = stored.url.render_as_string(hide_password=False)
    answered()
    until(lambda: counts(logging_server) == {"written": 1})
    with databases.outage(url):
        assert max(answered() for _ in range(50)) < 1
    until(lambda: counts(logging_server) == {"written": 51})

    assert len(rows(stored)) == 51


def test_jobs_run_and_observations_are_added_without_a_usable_log(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, prediction_log=True) as server:
        server.stop()
        (server.data_dir / "predictions.db").write_bytes(b"damaged" * 1000)
    with ForkedServer(tmp_path, prediction_log=True, trainer=True) as server:
        observation = {"lights": [0, 1, 0], "outcome": "stop"}
        server.expect(201, "POST", "/observations", observation)
        named = server.expect(201, "POST", "/observations", observation | {"request_id": "any"})
        assert named["results"][0]["prediction"] == "missing"
        job = server.expect(202, "POST", "/retrain")["id"]
        until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")


def test_what_the_log_does_not_get_is_in_the_metrics(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, prediction_log=True, prediction_log_sample=0.5) as server:
        for _ in range(20):
            server.post("/predict/batch", {"lights": [WALK] * 110})
        until(lambda: sum(counts(server).values()) == 20 * 110)

        counted = counts(server)
        assert counted.keys() == {"written", "over_limit", "sampled_out"}
        assert counted["written"] == 10 * counted["over_limit"]


def test_without_the_setting_there_is_no_log(shared_server: Server) -> None:
    shared_server.post("/predict", {"lights": WALK})

    assert not (shared_server.data_dir / "predictions.db").exists()
    with closing(sqlite3.connect(shared_server.data_dir / "streetlight.db")) as connection:
        assert ("predictions",) not in connection.execute(
            "SELECT name FROM sqlite_master"
        ).fetchall()
    assert counts(shared_server) == {}
