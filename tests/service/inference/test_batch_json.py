"""Batches in JSON: the quick way says what Pydantic says, or nothing."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streetlight.service.inference.batch_json import decode_rows, encode
from streetlight.service.inference.prediction import BatchPrediction
from streetlight.service.web.api.predict import BatchBody
from streetlight.service.web.response import dump_json
from tests.service.conftest import ROUNDS, try_out


def by_pydantic(body: bytes) -> Any:
    """Its rows as an array, or `None` where it is refused or no array can be made of it."""
    try:
        rows = BatchBody.model_validate_json(body).lights
    except ValidationError:
        return None
    return np.array(rows) if len({len(row) for row in rows}) == 1 else None


spaces = st.sampled_from(["", "", "", " ", "\n ", "\t", "\r\n"])
odd = st.sampled_from(
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
    odd,
)


@st.composite
def batch(draw: st.DrawFn) -> bytes:
    """A body: mostly right, and then with a few bytes changed."""
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


def same_as_pydantic(body: bytes) -> None:
    quick, careful = decode_rows(body), by_pydantic(body)
    if quick is not None:
        assert careful is not None
        assert quick.tobytes() == careful.astype(np.float64).tobytes()
        assert quick.shape == careful.shape


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
def test_what_it_reads_of_these_is_what_pydantic_reads(body: bytes) -> None:
    same_as_pydantic(body)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_what_it_reads_is_what_pydantic_reads(rounds: int) -> None:
    understood = 0

    @given(body=batch())
    def any_batch(body: bytes) -> None:
        nonlocal understood
        same_as_pydantic(body)
        understood += decode_rows(body) is not None

    try_out(any_batch, 200 * rounds)
    assert understood > 40 * rounds


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("rows", [[[1, 0, 1]], [[1, 0], [0, 1]], [[0.5, 1, -2e300]] * 3, [[1]] * 9])
def test_it_reads_what_clients_send(rows: list[list[float]], separators: tuple[str, str]) -> None:
    quick = decode_rows(json.dumps({"lights": rows}, separators=separators).encode())
    assert quick is not None
    assert quick.tolist() == rows


@given(scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_it_writes_is_what_pydantic_writes(scores: list[float]) -> None:
    decisions = ["walk" if score >= 0.5 else "stop" for score in scores]
    usual = BatchPrediction(decisions, scores, 7)  # type: ignore[arg-type]
    assert encode(np.array(scores), 7) == dump_json(usual) + b"\n"
