"""Tests of the decoder of V2 requests: it parses any bytes or raises a client error."""

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import FloatArray
from streetlight.service.inference.codecs.v2_request import NotSupportedError, parse
from streetlight.service.inference.codecs.v2_response import render
from streetlight.service.inference.tensors import DTYPES
from streetlight.service.validation.problems import FieldError
from tests.service.conftest import ROUNDS, run_hypothesis

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)
names = st.sampled_from(["lights", "score", "decision", "x", ""])
datatypes = st.sampled_from([*DTYPES, "BYTES", "fp64", ""])
sizes = st.integers(-2, 60) | st.sampled_from([2**31, 2**63, 2**64, 10**18])
outputs = st.fixed_dictionaries(
    {"name": names},
    optional={
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data": st.booleans(), "classification": sizes | leaves}
        )
    },
)
inputs = st.fixed_dictionaries(
    {"name": names, "shape": st.just([2, 3]) | st.lists(sizes, max_size=3), "datatype": datatypes},
    optional={
        "data": anything | st.lists(st.floats() | st.integers(-9, 9), min_size=6, max_size=6),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": sizes}) | anything,
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(inputs, min_size=1, max_size=2) | anything},
    optional={"id": st.text(max_size=3) | leaves, "outputs": st.lists(outputs, max_size=3)},
)


def parse_and_render(body: bytes, header: str | None) -> bool:
    """Parse a body, and render a response if it is valid; return whether it is."""
    try:
        request = parse(body, header, 3)
    except (FieldError, NotSupportedError):
        return False
    lights: FloatArray = request.lights
    assert lights.dtype.kind in "fiu"
    assert lights.shape[1:] == (3,)
    assert np.isfinite(lights).all()
    response = render(request, lights.sum(axis=1) * 1e-300, "streetlight", 1)
    header_json = json.loads(response.header)
    assert all(output["shape"][0] == len(lights) for output in header_json["outputs"])
    binary_sizes = [
        output["parameters"]["binary_data_size"]
        for output in header_json["outputs"]
        if "data" not in output
    ]
    assert binary_sizes == [len(tensor) for tensor in response.binary or []]
    return True


@pytest.mark.parametrize("rounds", ROUNDS)
def test_any_bytes_are_parsed_or_refused(rounds: int) -> None:
    @given(
        body=st.binary(max_size=200), header=st.none() | st.integers(-1, 210).map(str) | st.text()
    )
    def any_bytes(body: bytes, header: str | None) -> None:
        parse_and_render(body, header)

    run_hypothesis(any_bytes, 100 * rounds)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_nearly_valid_requests_are_parsed_or_refused(rounds: int) -> None:
    valid: Counter[bool] = Counter()

    @given(request=requests, tail=st.binary(max_size=64), offset=st.integers(-2, 2) | st.just(0))
    def nearly_valid(request: object, tail: bytes, offset: int) -> None:
        head = json.dumps(request).encode()
        header = str(len(head) + offset) if tail or offset else None
        valid[parse_and_render(head + tail, header)] += 1

    run_hypothesis(nearly_valid, 100 * rounds)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("datatype", DTYPES)
def test_valid_requests_with_a_byte_changed_are_parsed_or_refused(
    datatype: str, rounds: int
) -> None:
    itemsize = np.dtype(DTYPES[datatype]).itemsize
    data = bytes(2 * 3 * itemsize)
    tensor: dict[str, Any] = {"name": "lights", "shape": [2, 3], "datatype": datatype}
    tensor["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [tensor]}).encode()
    assert parse_and_render(head + data, str(len(head)))

    generator, valid = random.Random(0), 0  # noqa: S311 - not for secrets
    for _ in range(300 * rounds):
        body = bytearray(head + data)
        body[generator.randrange(len(body))] = generator.randrange(256)
        valid += parse_and_render(bytes(body), str(len(head)))
    assert 0 < valid < 300 * rounds
