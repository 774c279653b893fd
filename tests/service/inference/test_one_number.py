"""One number behind all dialects: the same lights get the same score, bit for bit, everywhere."""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.registry.repository import ModelRepository
from tests.server import ForkedServer, Server
from tests.service.conftest import ROUNDS, try_out

MODEL_1, MODEL_2 = "/v1/models/streetlight", "/v2/models/streetlight"

lights = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.0, 5e-324]),
    st.floats(-1e30, 1e30, allow_nan=False),
    st.integers(-(2**53), 2**53),
)
states = st.lists(st.lists(lights, min_size=3, max_size=3), min_size=1, max_size=5)
Rows = list[list[float]]
# The scores, and the version where it is told.
Said = tuple[list[float], int | None]


def native_get(server: Server, rows: Rows, _version: None) -> Said:
    told = [
        server.get(f"/predict?lights={quote(','.join(repr(float(light)) for light in row))}")
        for row in rows
    ]
    return [one["score"] for one in told], told[0]["version"]


def native_post(server: Server, rows: Rows, _version: None) -> Said:
    told = [server.post("/predict", {"lights": row}) for row in rows]
    return [one["score"] for one in told], told[0]["version"]


def native_batch(server: Server, rows: Rows, _version: None) -> Said:
    told = server.post("/predict/batch", {"lights": rows})
    return told["scores"], told["version"]


def pinned(version: int | None) -> str:
    return "" if version is None else f"/versions/{version}"


def v1_rows(server: Server, rows: Rows, version: int | None) -> Said:
    path = f"{MODEL_1}{pinned(version)}:predict"
    return column(server.post(path, {"instances": rows})["predictions"]), None


def v1_columns(server: Server, rows: Rows, version: int | None) -> Said:
    path = f"{MODEL_1}{pinned(version)}:predict"
    return column(server.post(path, {"inputs": rows})["outputs"]), None


def v1_regress(server: Server, rows: Rows, version: int | None) -> Said:
    path = f"{MODEL_1}{pinned(version)}:regress"
    return server.post(path, {"examples": rows})["results"], None


def v2_json(server: Server, rows: Rows, version: int | None) -> Said:
    given = {"name": "lights", "shape": [len(rows), 3], "datatype": "FP64", "data": rows}
    told = server.post(f"{MODEL_2}{pinned(version)}/infer", {"inputs": [given]})
    return told["outputs"][0]["data"], int(told["model_version"])


def v2_binary(
    server: Server,
    rows: Rows,
    version: int | None,
    datatype: str = "FP64",
    dtype: str = "<f8",
) -> Said:
    packed = np.array(rows, dtype).tobytes()
    given: dict[str, Any] = {"name": "lights", "shape": [len(rows), 3], "datatype": datatype}
    given["parameters"] = {"binary_data_size": len(packed)}
    asked = {"inputs": [given], "outputs": [{"name": "score", "parameters": {"binary_data": True}}]}
    head = json.dumps(asked).encode()
    return unpacked(server, version, head + packed, len(head))


def v2_raw(server: Server, rows: Rows, version: int | None) -> Said:
    return unpacked(server, version, np.array(rows, "<f8").tobytes(), 0)


def unpacked(server: Server, version: int | None, body: bytes, length: int) -> Said:
    headers = {"Inference-Header-Content-Length": str(length)}
    path = f"{MODEL_2}{pinned(version)}/infer"
    response = server.request("POST", path, body, **headers)
    assert response.status == 200, response.data
    end = int(response.headers["Inference-Header-Content-Length"])
    told = json.loads(response.data[:end])
    size = told["outputs"][0]["parameters"]["binary_data_size"]
    scores = struct.unpack(f"<{size // 8}d", response.data[end : end + size])
    return list(scores), int(told["model_version"])


def invoked_json(server: Server, rows: Rows, _version: None) -> Said:
    return column(server.post("/invocations", {"instances": rows})["predictions"]), None


def invoked_csv(server: Server, rows: Rows, _version: None) -> Said:
    text = "".join(",".join(repr(float(light)) for light in row) + "\n" for row in rows)
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    response = server.request("POST", "/invocations", text, **headers)
    assert response.status == 200, response.data
    return [float(line) for line in response.data.split()], None


def column(rows: list[list[float]]) -> list[float]:
    return [score for (score,) in rows]


LIVE_ONLY: list[Callable[[Server, Rows, None], Said]] = [
    native_get,
    native_post,
    native_batch,
    invoked_json,
    invoked_csv,
]
PINNED: list[Callable[[Server, Rows, int | None], Said]] = [
    v1_rows,
    v1_columns,
    v1_regress,
    v2_json,
    v2_binary,
    v2_raw,
]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three networks, of which the last, which has little of the lab's, is live."""
    with ForkedServer(tmp_path_factory.mktemp("several")) as server:
        server.train("--seed", "5")
        dimmed = server.data_dir / "dimmed.csv"
        dimmed.write_text("a,b,c,outcome\n0.3,2,0.7,walk\n1e-2,0,3,stop\n0.5,-1,0.1,walk\n")
        aims = ("--iterations", "500", "--target-error", "none")
        server.train("--dataset", str(dimmed), "--hidden-sizes", "6,3", "--alpha", "0.02", *aims)
        assert server.get("/readyz")["version"] == 3
        yield server


def bits(scores: list[float]) -> bytes:
    return np.array(scores, "<f8").tobytes()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_every_dialect_gives_the_same_bits(several: Server, rounds: int) -> None:
    """Those that each version's own network gives; of the live one where none is asked for."""
    repository = ModelRepository(several.data_dir / "models")
    networks = {number: repository.load(number).network for number in (1, 2, 3)}

    def check(rows: Rows, number: int, said: Said) -> None:
        assert bits(said[0]) == bits([networks[number].score(row) for row in rows])
        assert said[1] in (number, None)

    @given(rows=states)
    def any_rows(rows: Rows) -> None:
        for live_only in LIVE_ONLY:
            check(rows, 3, live_only(several, rows, None))
        for dialect in PINNED:
            for number in (1, 2, 3):
                check(rows, number, dialect(several, rows, number))
            check(rows, 3, dialect(several, rows, None))
        halved = np.array(rows, "<f4").astype("<f8").tolist()
        check(halved, 3, v2_binary(several, rows, None, "FP32", "<f4"))

    try_out(any_rows, 10 * rounds)
    assert len({network.score([1, 0, 1]) for network in networks.values()}) == 3
