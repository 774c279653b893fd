"""The size of a JSON body and the number of its values are bounded before they are decoded."""

import json

import pytest

from streetlight.service.validation.json_bounds import (
    MAX_BYTES,
    MAX_PARTS,
    MAX_VALUES,
    TooManyValuesError,
    check_bounds,
    decode,
)
from streetlight.service.validation.problems import FieldError


@pytest.mark.parametrize("character", [b"[", b"{", b'":', b" :", b"\\"])
def test_too_many_lists_objects_fields_and_escapes_are_rejected(character: bytes) -> None:
    body = character * MAX_PARTS
    assert check_bounds(body) is body
    with pytest.raises(TooManyValuesError, match=r"at most 50100 lists, .* got 50101"):
        decode(body + character)


def test_colons_in_a_time_are_not_counted() -> None:
    row = {"lights": [1, 0, 1], "outcome": "walk", "id": "2000-01-01T00:00:00Z"}
    body = {"observations": [row] * 10_000}
    assert decode(json.dumps(body).encode()) == body


def test_too_many_values_are_rejected() -> None:
    with pytest.raises(TooManyValuesError, match="150000 values in this form, got 0 and 150001"):
        decode(b"," * (MAX_VALUES + 1))


def test_too_many_bytes_are_rejected() -> None:
    with pytest.raises(TooManyValuesError, match="at most 4194304 bytes in this form"):
        decode(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"\xff"])
def test_other_text_is_malformed(body: bytes) -> None:
    with pytest.raises(FieldError, match="malformed JSON"):
        decode(body)
