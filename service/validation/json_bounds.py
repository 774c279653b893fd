"""Decode JSON, with bounds on its size and on the number of values.

As Python objects, JSON values take many times the memory of their bytes, and no other thread runs
while they are decoded. They are therefore counted in the bytes before. Brackets, commas and some
colons within strings are counted too. `inference.codecs.batch_json` decodes larger batches, as
arrays.
"""

from typing import Any

import numpy as np
from pydantic_core import from_json

from streetlight.service.validation.problems import FieldError, Problem

MAX_BYTES = 4 * 1024 * 1024
# Lists, objects, fields of objects, and escapes in strings, and lines of CSV.
MAX_PARTS = 50_100
MAX_VALUES = 150_000


class TooManyValuesError(ValueError):
    """The body has more values than can be decoded as JSON objects."""


def check_bounds(body: bytes, parts: bytes = b"[{:\\") -> bytes:
    """Return `body` unchanged.

    Raises:
        TooManyValuesError: `body` has more than `MAX_BYTES` bytes, `MAX_PARTS` of the characters in
            `parts`, or `MAX_VALUES` commas.
    """
    if len(body) > MAX_BYTES:
        raise TooManyValuesError(
            f"expected at most {MAX_BYTES} bytes in this form, got {len(body)}; send less at once"
        )
    count, values = sum(map(body.count, parts)), body.count(b",")
    if count > MAX_PARTS and b":" in parts:
        count += _count_keys(body) - body.count(b":")
    if count > MAX_PARTS or values > MAX_VALUES:
        raise TooManyValuesError(
            f"expected at most {MAX_PARTS} lists, objects, fields and lines, and {MAX_VALUES} "
            f"values in this form, got {count} and {values}; send less at once, or plain rows of "
            "numbers"
        )
    return body


def _count_keys(body: bytes) -> int:
    """Return the number of colons after a quote or whitespace; others, as in a time, end no key."""
    text = np.frombuffer(body, np.uint8)
    before = text[:-1]
    after_key = (before == ord('"')) | (before <= ord(" "))
    return int(np.count_nonzero((text[1:] == ord(":")) & after_key))


def decode(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value in `body`.

    NaN and Infinity are decoded, so that the schema can reject them with the name of the field.

    Raises:
        FieldError: `body` isn't JSON.
        TooManyValuesError: `body` exceeds the bounds of `check_bounds`.
    """
    try:
        return from_json(check_bounds(body))
    except TooManyValuesError:
        raise
    except ValueError as error:
        raise FieldError(Problem("", f"malformed JSON: {error}")) from None
