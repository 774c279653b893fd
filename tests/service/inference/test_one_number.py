"""One number behind all dialects: the same lights get the same score, bit for bit, everywhere."""

import json
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server import Server

MODEL_1, MODEL_2 = "/v1/models/streetlight", "/v2/models/streetlight"

lights = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.0, 5e-324]),
    st.floats(-1e30, 1e30, allow_nan=False),
    st.integers(-(2**53), 2**53),
)
states = st.lists(st.lists(lights, min_size=3, max_size=3), min_size=1, max_size=5)
Rows = list[list[float]]
Said = tuple[list[float], int]


def native_get(server: Server, rows: Rows) -> Said:
    told = [
        server.get(f"/predict?lights={quote(','.join(repr(float(light)) for light in row))}")
        for row in rows
    ]
    return [one["score"] for one in told], told[0]["version"]


def native_post(server: Server, rows: Rows) -> Said:
    told = [server.post("/predict", {"lights": row}) for row in rows]
    return [one["score"] for one in told], told[0]["version"]


def native_batch(server: Server, rows: Rows) -> Said:
    told = server.post("/predict/batch", {"lights": rows})
    return told["scores"], told["version"]


def v1_rows(server: Server, rows: Rows) -> Said:
    return column(server.post(f"{MODEL_1}:predict", {"instances": rows})["predictions"]), 1


def v1_columns(server: Server, rows: Rows) -> Said:
    return column(server.post(f"{MODEL_1}:predict", {"inputs": rows})["outputs"]), 1


def v2_json(server: Server, rows: Rows) -> Said:
    given = {"name": "lights", "shape": [len(rows), 3], "datatype": "FP64", "data": rows}
    told = server.post(f"{MODEL_2}/infer", {"inputs": [given]})
    return told["outputs"][0]["data"], int(told["model_version"])


def v2_binary(server: Server, rows: Rows, datatype: str = "FP64", dtype: str = "<f8") -> Said:
    packed = np.array(rows, dtype).tobytes()
    given: dict[str, Any] = {"name": "lights", "shape": [len(rows), 3], "datatype": datatype}
    given["parameters"] = {"binary_data_size": len(packed)}
    asked = {"inputs": [given], "outputs": [{"name": "score", "parameters": {"binary_data": True}}]}
    head = json.dumps(asked).encode()
    return unpacked(server, head + packed, len(head))


def v2_raw(server: Server, rows: Rows) -> Said:
    return unpacked(server, np.array(rows, "<f8").tobytes(), 0)


def unpacked(server: Server, body: bytes, length: int) -> Said:
    headers = {"Inference-Header-Content-Length": str(length)}
    response = server.request("POST", f"{MODEL_2}/infer", body, **headers)
    assert response.status == 200, response.data
    end = int(response.headers["Inference-Header-Content-Length"])
    told = json.loads(response.data[:end])
    size = told["outputs"][0]["parameters"]["binary_data_size"]
    scores = struct.unpack(f"<{size // 8}d", response.data[end : end + size])
    return list(scores), int(told["model_version"])


def invoked_json(server: Server, rows: Rows) -> Said:
    return column(server.post("/invocations", {"instances": rows})["predictions"]), 1


def invoked_csv(server: Server, rows: Rows) -> Said:
    text = "".join(",".join(repr(float(light)) for light in row) + "\n" for row in rows)
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    response = server.request("POST", "/invocations", text, **headers)
    assert response.status == 200, response.data
    return [float(line) for line in response.data.split()], 1


def column(rows: list[list[float]]) -> list[float]:
    return [score for (score,) in rows]


DIALECTS: list[Callable[[Server, Rows], Said]] = [
    native_get,
    native_post,
    native_batch,
    v1_rows,
    v1_columns,
    v2_json,
    v2_binary,
    v2_raw,
    invoked_json,
    invoked_csv,
]


def bits(said: Said) -> tuple[bytes, int]:
    return np.array(said[0], "<f8").tobytes(), said[1]


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=states)
def test_every_dialect_gives_the_same_bits(two_versions: Server, rows: Rows) -> None:
    wanted = bits(native_post(two_versions, rows))

    assert {dialect.__name__: bits(dialect(two_versions, rows)) for dialect in DIALECTS} == {
        dialect.__name__: wanted for dialect in DIALECTS
    }
    halved = np.array(rows, "<f4").astype("<f8").tolist()
    as_single = bits(v2_binary(two_versions, rows, "FP32", "<f4"))
    assert as_single == bits(native_post(two_versions, halved))
