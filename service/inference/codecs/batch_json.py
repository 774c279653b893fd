"""Decode batches of light states from JSON, and encode their scores, as arrays.

A Python object for each number would take longer than the rest of a batch request. Only a simple
form of JSON is decoded here: the caller parses any other body with Pydantic, which also reports
errors.
"""

import re

import numpy as np
from pydantic_core import from_json, to_json

from streetlight.model.dataset import FloatArray, is_walk

WHITESPACE = b" \t\r\n"
NUMBER_CHARACTERS = b"0123456789+-.eE"
BRACKETS_TO_SPACES = bytes.maketrans(b"[]", b"  ")

# The JSON before the first row, and after the last.
PREFIX = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"lights"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*(?=\[)')
SUFFIX = re.compile(rb"[ \t\r\n]*\][ \t\r\n]*\}[ \t\r\n]*\Z")
# A row whose numbers are single digits, with the separator before the next row.
DIGIT_ROW = re.compile(
    rb"\[[ \t\r\n]*[0-9](?:[ \t\r\n]*,[ \t\r\n]*[0-9])*[ \t\r\n]*\]"
    rb"(?:[ \t\r\n]*,[ \t\r\n]*(?=\[)|\Z)"
)


def decode_rows(body: bytes) -> FloatArray | None:
    """Return the rows of `{"lights": [[…], …]}`, shape (rows, lights); `None` for other bodies.

    Each row must have the same number of finite numbers, and the object no other key.
    """
    prefix = PREFIX.match(body)
    end = body.rfind(b"]", 0, body.rfind(b"]")) + 1
    if not (prefix and end > prefix.end() and SUFFIX.match(body, end)):
        return None
    rows = body[prefix.end() : end]
    digits = _decode_digits(rows)
    return _decode_numbers(rows) if digits is None else digits


def _decode_digits(rows: bytes) -> FloatArray | None:
    """Return the rows if all numbers are single digits and all rows are spaced alike.

    Most light states are zeros and ones. The bytes are compared as a table with a line for each
    row, without a loop in Python.
    """
    if not (first := DIGIT_ROW.match(rows)):
        return None
    separator = rows[rows.find(b"]") + 1 : first.end()]
    if (len(rows) + len(separator)) % first.end():
        return None
    table = np.frombuffer(rows + separator, np.uint8).reshape(-1, first.end())
    is_digit = (table[0] >= ord("0")) & (table[0] <= ord("9"))
    digits = table[:, is_digit] - np.uint8(ord("0"))
    if (table[:, ~is_digit] != table[0, ~is_digit]).any() or digits.max() > 9:
        return None
    return digits.astype(np.float64)


def _decode_numbers(rows: bytes) -> FloatArray | None:
    """Return the rows: check the brackets and commas, then parse all numbers as one list."""
    punctuation = rows.translate(None, NUMBER_CHARACTERS + WHITESPACE)
    lights = punctuation.find(b"]")
    compact = rows.translate(None, WHITESPACE)
    # The list has no brackets, so a number missing in a row could be replaced by one between rows.
    if b"[," in compact or b",]" in compact or b"[]" in compact:
        return None
    count = punctuation.count(b"[")
    if punctuation != b",".join([b"[" + b"," * (lights - 1) + b"]"] * count):
        return None
    try:
        numbers = from_json(b"[" + rows.translate(BRACKETS_TO_SPACES) + b"]")
        array: FloatArray = np.array(numbers, dtype=np.float64).reshape(count, lights)
    except (ValueError, OverflowError):
        return None
    return array if np.isfinite(array).all() else None


def encode(scores: FloatArray, version: int) -> bytes:
    """Return the JSON response with the decisions and `scores`, shape (rows,), of `version`."""
    # "walk" and "stop" have the same length, so the items of the array are the JSON text.
    words = np.where(is_walk(scores), b'"walk",', b'"stop",').tobytes()[:-1]
    return b'{"decisions":[%s],"scores":%s,"version":%d}\n' % (
        words,
        to_json(scores.tolist()),
        version,
    )
