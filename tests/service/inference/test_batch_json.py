"""Tests of the fast decoders of batches: they agree with Pydantic and csv, or return `None`."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streetlight.service.inference.codecs import batch_json
from streetlight.service.inference.codecs.batch_json import decode_csv, decode_rows, encode
from streetlight.service.inference.codecs.native import BatchBody
from streetlight.service.inference.result import BatchPrediction
from streetlight.service.validation.json_bounds import TooManyValuesError
from streetlight.service.web.response import dump_json
from tests.service.conftest import ROUNDS, run_hypothesis


@pytest.fixture(autouse=True, params=[batch_json.BLOCK_BYTES, 1])
def block_size(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test with large blocks, and with blocks of a row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_json, "BLOCK_BYTES", request.param)
        patch.setattr(batch_json, "BLOCK_ROWS", request.param)
        yield


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
    expected = by_pydantic(body)
    fast = decode_rows(body, "lights", 3 if expected is None else expected.shape[1])
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
        decoded += any(decode_rows(body, "lights", lights) is not None for lights in range(1, 5))

    run_hypothesis(any_batch, 200 * rounds)
    assert decoded > 40 * rounds


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("rows", [[[1, 0, 1]], [[1, 0], [0, 1]], [[0.5, 1, -2e300]] * 3, [[1]] * 9])
def test_common_bodies_are_decoded(rows: list[list[float]], separators: tuple[str, str]) -> None:
    body = json.dumps({"lights": rows}, separators=separators).encode()
    fast = decode_rows(body, "lights", len(rows[0]))
    assert fast is not None
    assert fast.tolist() == rows


@given(scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_encoding_agrees_with_pydantic(scores: list[float]) -> None:
    decisions = ["walk" if score > 0.501 else "stop" for score in scores]
    prediction = BatchPrediction(decisions, scores, 7)  # type: ignore[arg-type]
    assert encode(np.array(scores), 7) == dump_json(prediction) + b"\n"


def by_csv(body: bytes) -> Any:
    """Return the rows of a CSV as an array, or `None` if it is invalid or has unequal rows."""
    try:
        lines = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
        array = np.array([list(map(float, line)) for line in lines if line])
    except (csv.Error, ValueError):
        return None
    return array if array.ndim == 2 and np.isfinite(array).all() else None


@st.composite
def csv_body(draw: st.DrawFn) -> bytes:
    """Draw a CSV: usually valid, sometimes with up to two bytes replaced."""
    numbers = draw(st.sampled_from([st.sampled_from("01"), number]))
    lights, end = draw(st.integers(1, 4)), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    rows = [
        ",".join(draw(numbers) for _ in range(lights)) + end for _ in range(draw(st.integers(1, 5)))
    ]
    body = bytearray("".join(rows).encode())
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"[", b"],[", b",", b"0", b" ", b"\n", b"\r", b"\t", b'"', b"\0"])
        )
    return bytes(body)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_decoding_csv_agrees_with_the_csv_module(rounds: int) -> None:
    decoded = 0

    @given(body=csv_body())
    def any_csv(body: bytes) -> None:
        nonlocal decoded
        expected = by_csv(body)
        fast = decode_csv(body, 3 if expected is None else expected.shape[1])
        if fast is not None:
            assert expected is not None
            # JSON's -0 is the integer 0.
            assert (fast + 0.0).tobytes() == (expected + 0.0).tobytes()
            assert fast.shape == expected.shape
            decoded += 1

    run_hypothesis(any_csv, 200 * rounds)
    assert decoded > 40 * rounds


def test_the_numbers_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_json, "MAX_NUMBERS", 6)

    assert decode_csv(b"1,0,1\n0,0,1\n", 3) is not None
    with pytest.raises(TooManyValuesError, match="at most 6 numbers; send fewer rows"):
        decode_csv(b"1,0,1\n0,0,1\n1,1,1", 3)


def test_a_list_of_rows_is_decoded_without_a_name() -> None:
    assert decode_rows(b" [ [1, 0], [0, 1] ] ", "", 2) is not None
    for body in (b"[[1,0],[0,1]]}", b'{"lights":[[1,0]]}', b"[1,0]", b"[[1,0]", b"[[1,0]][[1,0]]"):
        assert decode_rows(body, "", 2) is None


def test_a_long_row_is_left_to_the_decoder_of_objects() -> None:
    row = b",".join([b"1"] * batch_json.MAX_BLOCK)

    assert decode_csv(row, batch_json.MAX_BLOCK) is None
    assert decode_rows(b"[[%s]]" % row, "", batch_json.MAX_BLOCK) is None
