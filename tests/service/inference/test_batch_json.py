"""Tests of the fast decoder of JSON batches: it agrees with Pydantic, or returns `None`."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streetlight.service.inference.codecs.batch_json import decode_rows, encode
from streetlight.service.inference.codecs.native import BatchBody
from streetlight.service.inference.result import BatchPrediction
from streetlight.service.web.response import dump_json
from tests.service.conftest import ROUNDS, run_hypothesis


def by_pydantic(body: bytes) -> Any:
    """Return the rows of a body as an array, or `None` if it is invalid or has unequal rows."""
    try:
        rows = BatchBody.model_validate_json(body).lights
    except ValidationError:
        return None
    return np.array(rows) if len({len(row) for row in rows}) == 1 else None


spaces = st.sampled_from(["", "", "", " ", "\n ", "\t", "\r\n"])
unusual = st.sampled_from(
    [
        *("-0", "-0.0", "1e5", "1E-5", "1e999", "1e-999", "01", "1.", ".5", "+1", "-", "1e", "00"),
        *("0x1", "NaN", "Infinity", "-Infinity", "null", "true", '"1"', "[]", "[1]", "{}", "1_0"),
        *("9007199254740993", "123456789012345678901234567890"),
    ]
)
number = st.one_of(
    st.integers(0, 9).map(str),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    unusual,
)


@st.composite
def batch(draw: st.DrawFn) -> bytes:
    """Draw a body: usually valid, sometimes with up to two bytes replaced."""
    numbers = draw(st.sampled_from([st.sampled_from("01"), number]))
    lights = draw(st.integers(1, 4))
    space = draw(st.sampled_from([st.just(""), st.just(" "), spaces]))
    rows = [
        "[" + ",".join(draw(space) + draw(numbers) + draw(space) for _ in range(lights)) + "]"
        for _ in range(draw(st.integers(1, 5)))
    ]
    text = (
        '{"lights":' + draw(spaces) + "[" + f",{draw(space)}".join(rows) + "]" + draw(spaces) + "}"
    )
    body = bytearray(text.encode())
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"[", b"]", b",", b"0", b"5", b" ", b"-", b".", b"e", b"}", b'"'])
        )
    return bytes(body)


def check_against_pydantic(body: bytes) -> None:
    fast, expected = decode_rows(body), by_pydantic(body)
    if fast is not None:
        assert expected is not None
        assert fast.tobytes() == expected.astype(np.float64).tobytes()
        assert fast.shape == expected.shape


@pytest.mark.parametrize(
    "body",
    [
        b'{"lights":[5[,0,1],[1,0,1]]}',
        b'{"lights":[[1,0,1]5]}',
        b'{"lights":[[1,0,1],5[,0,1]]}',
        b'{"lights":[[1,0,1],[1,0,1],]}',
        b'{"lights":[[1,0,1],[1,0]]}',
        b'{"lights":[[]]}',
        b'{"lights":[]}',
        b'{"lights":[[[1,0,1]]]}',
        b'{"lights":[[1,0,1]],"lights":[[1,0,1]]}',
        b'{"lights":[[1,0,1]]}}',
        b'{"lights":[[1,0,1]]',
        b'{"lights":[[-0,-0.0,1]]}',
    ],
)
def test_decoding_special_cases_agrees_with_pydantic(body: bytes) -> None:
    check_against_pydantic(body)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_decoding_agrees_with_pydantic(rounds: int) -> None:
    decoded = 0

    @given(body=batch())
    def any_batch(body: bytes) -> None:
        nonlocal decoded
        check_against_pydantic(body)
        decoded += decode_rows(body) is not None

    run_hypothesis(any_batch, 200 * rounds)
    assert decoded > 40 * rounds


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("rows", [[[1, 0, 1]], [[1, 0], [0, 1]], [[0.5, 1, -2e300]] * 3, [[1]] * 9])
def test_common_bodies_are_decoded(rows: list[list[float]], separators: tuple[str, str]) -> None:
    fast = decode_rows(json.dumps({"lights": rows}, separators=separators).encode())
    assert fast is not None
    assert fast.tolist() == rows


@given(scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_encoding_agrees_with_pydantic(scores: list[float]) -> None:
    decisions = ["walk" if score >= 0.5 else "stop" for score in scores]
    prediction = BatchPrediction(decisions, scores, 7)  # type: ignore[arg-type]
    assert encode(np.array(scores), 7) == dump_json(prediction) + b"\n"
