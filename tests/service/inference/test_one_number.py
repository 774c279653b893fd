"""All protocols give the same lights the same score, bit for bit."""

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
from tests.service.conftest import ROUNDS, run_hypothesis

pytestmark = pytest.mark.process

MODEL_1, MODEL_2 = "/v1/models/streetlight", "/v2/models/streetlight"

lights = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.0, 5e-324]),
    st.floats(-1e30, 1e30, allow_nan=False),
    st.integers(-(2**53), 2**53),
)
states = st.lists(st.lists(lights, min_size=3, max_size=3), min_size=1, max_size=5)
Rows = list[list[float]]
# The scores, and the version if the response names it.
Scores = tuple[list[float], int | None]


def native_get(server: Server, rows: Rows, _version: None) -> Scores:
    responses = [
        server.get(f"/predict?lights={quote(','.join(repr(float(light)) for light in row))}")
        for row in rows
    ]
    return [response["score"] for response in responses], responses[0]["version"]


def native_post(server: Server, rows: Rows, _version: None) -> Scores:
    responses = [server.post("/predict", {"lights": row}) for row in rows]
    return [response["score"] for response in responses], responses[0]["version"]


def native_batch(server: Server, rows: Rows, _version: None) -> Scores:
    response = server.post("/predict/batch", {"lights": rows})
    return response["scores"], response["version"]


def pinned(version: int | None) -> str:
    return "" if version is None else f"/versions/{version}"


def v1_rows(server: Server, rows: Rows, version: int | None) -> Scores:
    path = f"{MODEL_1}{pinned(version)}:predict"
    return column(server.post(path, {"instances": rows})["predictions"]), None


def v1_columns(server: Server, rows: Rows, version: int | None) -> Scores:
    path = f"{MODEL_1}{pinned(version)}:predict"
    return column(server.post(path, {"inputs": rows})["outputs"]), None


def v1_regress(server: Server, rows: Rows, version: int | None) -> Scores:
    path = f"{MODEL_1}{pinned(version)}:regress"
    return server.post(path, {"examples": rows})["results"], None


def v2_json(server: Server, rows: Rows, version: int | None) -> Scores:
    tensor = {"name": "lights", "shape": [len(rows), 3], "datatype": "FP64", "data": rows}
    response = server.post(f"{MODEL_2}{pinned(version)}/infer", {"inputs": [tensor]})
    return response["outputs"][0]["data"], int(response["model_version"])


def v2_binary(
    server: Server,
    rows: Rows,
    version: int | None,
    datatype: str = "FP64",
    dtype: str = "<f8",
) -> Scores:
    packed = np.array(rows, dtype).tobytes()
    tensor: dict[str, Any] = {"name": "lights", "shape": [len(rows), 3], "datatype": datatype}
    tensor["parameters"] = {"binary_data_size": len(packed)}
    outputs = [{"name": "score", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    return send_binary(server, version, head + packed, len(head))


def v2_raw(server: Server, rows: Rows, version: int | None) -> Scores:
    return send_binary(server, version, np.array(rows, "<f8").tobytes(), 0)


def send_binary(server: Server, version: int | None, body: bytes, length: int) -> Scores:
    headers = {"Inference-Header-Content-Length": str(length)}
    path = f"{MODEL_2}{pinned(version)}/infer"
    response = server.request("POST", path, body, **headers)
    assert response.status == 200, response.data
    end = int(response.headers["Inference-Header-Content-Length"])
    header = json.loads(response.data[:end])
    size = header["outputs"][0]["parameters"]["binary_data_size"]
    scores = struct.unpack(f"<{size // 8}d", response.data[end : end + size])
    return list(scores), int(header["model_version"])


def invocations_json(server: Server, rows: Rows, _version: None) -> Scores:
    return column(server.post("/invocations", {"instances": rows})["predictions"]), None


def invocations_csv(server: Server, rows: Rows, _version: None) -> Scores:
    text = "".join(",".join(repr(float(light)) for light in row) + "\n" for row in rows)
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    response = server.request("POST", "/invocations", text, **headers)
    assert response.status == 200, response.data
    return [float(line) for line in response.data.split()], None


def sagemaker(server: Server, rows: Rows, version: int | None) -> Scores:
    headers = {"X-Amzn-SageMaker-Target-Variant": str(version)} if version else {}
    response = server.request("POST", "/endpoints/streetlight/invocations", rows, **headers)
    assert response.status == 200, response.data
    number = int(response.headers["X-Amzn-Invoked-Production-Variant"])
    return column(response.json()["predictions"]), number


def column(rows: list[list[float]]) -> list[float]:
    return [score for (score,) in rows]


LIVE_ONLY: list[Callable[[Server, Rows, None], Scores]] = [
    native_get,
    native_post,
    native_batch,
    invocations_json,
    invocations_csv,
]
PINNED: list[Callable[[Server, Rows, int | None], Scores]] = [
    sagemaker,
    v1_rows,
    v1_columns,
    v1_regress,
    v2_json,
    v2_binary,
    v2_raw,
]


@pytest.fixture(scope="module")
def three_versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three versions; the live one has other data and layers than the lab's."""
    with ForkedServer(tmp_path_factory.mktemp("several")) as server:
        server.train("--seed", "5")
        dimmed = server.data_dir / "dimmed.csv"
        dimmed.write_text("a,b,c,outcome\n0.3,2,0.7,walk\n1e-2,0,3,stop\n0.5,-1,0.1,walk\n")
        options = ("--iterations", "500", "--target-error", "none")
        server.train("--dataset", str(dimmed), "--hidden-sizes", "6,3", "--alpha", "0.02", *options)
        assert server.get("/readyz")["version"] == 3
        yield server


def bits(scores: list[float]) -> bytes:
    return np.array(scores, "<f8").tobytes()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_every_protocol_returns_the_same_bits(three_versions: Server, rounds: int) -> None:
    """The expected scores are those of the pinned version's network, or of the live one's."""
    repository = ModelRepository(three_versions.data_dir / "models")
    networks = {number: repository.load(number).network for number in (1, 2, 3)}

    def check(rows: Rows, number: int, result: Scores) -> None:
        assert bits(result[0]) == bits([networks[number].score(row) for row in rows])
        assert result[1] in (number, None)

    @given(rows=states)
    def any_rows(rows: Rows) -> None:
        for live_only in LIVE_ONLY:
            check(rows, 3, live_only(three_versions, rows, None))
        for protocol in PINNED:
            for number in (1, 2, 3):
                check(rows, number, protocol(three_versions, rows, number))
            check(rows, 3, protocol(three_versions, rows, None))
        halved = np.array(rows, "<f4").astype("<f8").tolist()
        check(halved, 3, v2_binary(three_versions, rows, None, "FP32", "<f4"))

    run_hypothesis(any_rows, 10 * rounds)
    assert len({network.score([1, 0, 1]) for network in networks.values()}) == 3
