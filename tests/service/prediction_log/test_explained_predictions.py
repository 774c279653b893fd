"""Tests that what is in the log can be explained after a promotion, bit for bit."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.server import ForkedServer
from tests.service.conftest import until

ROWS = np.random.default_rng(1).random((20, 3)).tolist()
TENSOR = {"name": "lights", "shape": [20, 3]}
V1, V2 = "/v1/models/streetlight", "/v2/models/streetlight/infer"
# A tensor may round the lights; the log has those that the network was given.
TENSORS = [
    {"inputs": [{**TENSOR, "datatype": datatype, "data": ROWS}]} for datatype in ("FP64", "FP32")
]


def binary(dtype: str, datatype: str) -> tuple[bytes, dict[str, str]]:
    data = np.array(ROWS, dtype).tobytes()
    tensor = {**TENSOR, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


@pytest.mark.process
def test_a_logged_prediction_is_explained_with_the_same_bits(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, prediction_log=True) as server:
        server.post("/predict", {"lights": ROWS[0]})
        server.get(f"/predict?lights={','.join(map(repr, ROWS[1]))}")
        server.post("/predict/batch", {"lights": ROWS})
        server.post(f"{V1}:predict", {"instances": ROWS})
        server.post("/invocations", {"inputs": ROWS})
        for tensor in TENSORS:
            server.post(V2, tensor)
        for dtype, datatype in (("<f4", "FP32"), ("<f2", "FP16")):
            body, headers = binary(dtype, datatype)
            server.post(V2, body, **headers)
        server.train("--seed", "5")
        server.post("/predict", {"lights": ROWS[0]})

        def logged() -> list[dict[str, object]]:
            rows: list[dict[str, object]] = server.get("/predictions?limit=1000")["predictions"]
            return rows if len(rows) == 3 + 7 * len(ROWS) else []

        rows = until(logged)
        assert {row["version"] for row in rows} == {1, 2}
        assert len({str(row["lights"]) for row in rows}) == 3 * len(ROWS)
        for row in rows:
            asked = {"lights": row["lights"], "version": row["version"]}
            explained = server.post("/explain", asked)
            for field in ("score", "decision", "version"):
                assert explained[field] == row[field], row
        server.post("/explain", {"lights": ROWS[0]})  # the live version answers: logged, and last
        until(lambda: len(server.get("/predictions?limit=1000")["predictions"]) > len(rows))
        logged_later = server.get(f"/predictions?after={rows[-1]['id']}")["predictions"]
        assert [row["version"] for row in logged_later] == [2]
