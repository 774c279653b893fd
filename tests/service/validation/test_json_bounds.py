"""The number of JSON values in a body is bounded before they are decoded."""

import pytest

from streetlight.service.validation.json_bounds import MAX_LISTS, MAX_VALUES, check_bounds, decode
from streetlight.service.validation.problems import FieldError


@pytest.mark.parametrize("more", [b"[" * (MAX_LISTS + 1), b"{" * (MAX_LISTS + 1), b"," * 4_000_001])
def test_too_many_values_are_rejected(more: bytes) -> None:
    with pytest.raises(FieldError, match=f"at most {MAX_LISTS} lists and objects and {MAX_VALUES}"):
        decode(more)


def test_a_million_rows_are_accepted() -> None:
    body = b"[" + b"[1,0,1]," * 999_999 + b"[1,0,1]]"
    assert check_bounds(body) is body


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"\xff"])
def test_other_text_is_malformed(body: bytes) -> None:
    with pytest.raises(FieldError, match="malformed JSON"):
        decode(body)
