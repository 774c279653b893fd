"""Triton: a model of the Python backend for the Open Inference Protocol (V2)."""

from __future__ import annotations  # `InferenceRequest` exists only after the import

import sys
from pathlib import Path

import triton_python_backend_utils as triton

sys.path.append(str(Path(__file__).parents[3]))  # the backend ignores PYTHONPATH
from network import scores


class TritonPythonModel:
    """Serves the network."""

    def execute(self, requests: list[triton.InferenceRequest]) -> list[triton.InferenceResponse]:
        """Return the scores of the rows of each request."""
        responses = []
        for request in requests:
            lights = triton.get_input_tensor_by_name(request, "lights").as_numpy()
            output = triton.Tensor("score", scores(lights)[:, None])
            responses.append(triton.InferenceResponse([output]))
        return responses
