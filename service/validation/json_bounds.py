"""Decoding: JSON from bytes, unless it would become too much.

As objects, values take many times their bytes; so they are counted before they are made, in the
bytes, where what stands in texts counts too. What a request should be is told in its schema.
"""

from typing import Any

from pydantic_core import from_json

from streetlight.service.validation.problems import FieldError, Problem

# A million rows, and what is around them.
MAX_LISTS = 1_000_100
MAX_VALUES = 4_000_000


def check_bounds(body: bytes) -> bytes:
    """Return `body` itself.

    Raises:
        FieldError: it would become too much.
    """
    lists = body.count(b"[") + body.count(b"{")
    if lists > MAX_LISTS or body.count(b",") > MAX_VALUES:
        message = f"expected at most {MAX_LISTS} lists and objects and {MAX_VALUES} values"
        raise FieldError(Problem("", message))
    return body


def decode(body: bytes) -> Any:  # noqa: ANN401 - whatever is JSON
    """Return what JSON `body` is; NaN and Infinity are left for the schema to refuse by name.

    Raises:
        FieldError: it isn't, or it would become too much.
    """
    try:
        return from_json(check_bounds(body))
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError(Problem("", f"malformed JSON: {error}")) from None
