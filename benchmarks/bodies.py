"""Request bodies for the contenders."""

import json

import numpy as np
import numpy.typing as npt


def one_row(v2: bool) -> bytes:
    """Return a body of one row, of the Open Inference Protocol (`v2`) or of our own API."""
    return many_rows(v2, [[1, 0, 1]]) if v2 else b'{"lights": [1, 0, 1]}'


def many_rows(v2: bool, rows: list[list[int]]) -> bytes:
    """Return a body of many rows, likewise."""
    if not v2:
        return json.dumps({"lights": rows}).encode()
    tensor = {"name": "lights", "shape": [len(rows), 3], "datatype": "FP64", "data": rows}
    return json.dumps({"inputs": [tensor]}).encode()


def binary_rows(
    rows: npt.ArrayLike, datatype: str = "FP64", dtype: str = "<f8"
) -> tuple[bytes, dict[str, str]]:
    """Return a body of the Open Inference Protocol's binary extension, and its headers."""
    lights = np.array(rows, dtype=dtype)
    tensor = {"name": "lights", "shape": lights.shape, "datatype": datatype}
    request = {
        "inputs": [tensor | {"parameters": {"binary_data_size": lights.nbytes}}],
        "outputs": [{"name": "score", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(request).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return head + lights.tobytes(), headers
