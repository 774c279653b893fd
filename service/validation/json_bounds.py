"""Decode JSON, with bounds on the number of values.

As Python objects, JSON values take many times the memory of their bytes. They are therefore
counted in the bytes before they are decoded. Brackets and commas within strings are counted too.
"""

from typing import Any

from pydantic_core import from_json

from streetlight.service.validation.problems import FieldError, Problem

# A million rows, and the objects around them.
MAX_LISTS = 1_000_100
MAX_VALUES = 4_000_000


def check_bounds(body: bytes) -> bytes:
    """Return `body` unchanged.

    Raises:
        FieldError: `body` has more than `MAX_LISTS` lists and objects, or `MAX_VALUES` commas.
    """
    lists = body.count(b"[") + body.count(b"{")
    if lists > MAX_LISTS or body.count(b",") > MAX_VALUES:
        message = f"expected at most {MAX_LISTS} lists and objects and {MAX_VALUES} values"
        raise FieldError(Problem("", message))
    return body


def decode(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value in `body`.

    NaN and Infinity are decoded, so that the schema can reject them with the name of the field.

    Raises:
        FieldError: `body` isn't JSON, or exceeds the bounds of `check_bounds`.
    """
    try:
        return from_json(check_bounds(body))
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError(Problem("", f"malformed JSON: {error}")) from None
