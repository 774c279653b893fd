"""Batches in JSON: many light states out of its text, and their scores into it, as arrays.

An object for each number costs more than all else that is done with a batch. Only what is plain is
read here; anything else is for Pydantic, which also says what is wrong with it.
"""

import re

import numpy as np
from pydantic_core import from_json, to_json

from streetlight.model.dataset import FloatArray, is_walk

WHITE = b" \t\r\n"
NUMBER = b"0123456789+-.eE"
WITHOUT_BRACKETS = bytes.maketrans(b"[]", b"  ")

# Up to the first row; and a row whose numbers are all digits, with what stands before the next.
BEFORE = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"lights"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*(?=\[)')
AFTER = re.compile(rb"[ \t\r\n]*\][ \t\r\n]*\}[ \t\r\n]*\Z")
DIGITS = re.compile(
    rb"\[[ \t\r\n]*[0-9](?:[ \t\r\n]*,[ \t\r\n]*[0-9])*[ \t\r\n]*\]"
    rb"(?:[ \t\r\n]*,[ \t\r\n]*(?=\[)|\Z)"
)


def decode_rows(body: bytes) -> FloatArray | None:
    """Return the rows of `{"lights": [[…], …]}`, shape (rows, lights); `None` if that isn't plain.

    Plain are finite numbers, as many in each row, and nothing else.
    """
    before = BEFORE.match(body)
    last = body.rfind(b"]", 0, body.rfind(b"]")) + 1
    if not (before and last > before.end() and AFTER.match(body, last)):
        return None
    rows = body[before.end() : last]
    digits = _digits(rows)
    return _numbers(rows) if digits is None else digits


def _digits(rows: bytes) -> FloatArray | None:
    """Read rows spaced as the first is, each number one digit: what most light states are."""
    if not (first := DIGITS.match(rows)):
        return None
    apart = rows[rows.find(b"]") + 1 : first.end()]
    if (len(rows) + len(apart)) % first.end():
        return None
    table = np.frombuffer(rows + apart, np.uint8).reshape(-1, first.end())
    is_digit = (table[0] >= ord("0")) & (table[0] <= ord("9"))
    digits = table[:, is_digit] - np.uint8(ord("0"))
    if (table[:, ~is_digit] != table[0, ~is_digit]).any() or digits.max() > 9:
        return None
    return digits.astype(np.float64)


def _numbers(rows: bytes) -> FloatArray | None:
    """Read any rows: the brackets are seen to first, and the numbers then parsed as one list."""
    marks = rows.translate(None, NUMBER + WHITE)
    lights = marks.find(b"]")
    tight = rows.translate(None, WHITE)
    # Without brackets, a number that is missing in a row could be made good by one outside of it.
    if b"[," in tight or b",]" in tight or b"[]" in tight:
        return None
    count = marks.count(b"[")
    if marks != b",".join([b"[" + b"," * (lights - 1) + b"]"] * count):
        return None
    try:
        numbers = from_json(b"[" + rows.translate(WITHOUT_BRACKETS) + b"]")
        array: FloatArray = np.array(numbers, dtype=np.float64).reshape(count, lights)
    except (ValueError, OverflowError):
        return None
    return array if np.isfinite(array).all() else None


def count_walk(scores: FloatArray) -> int:
    """Return how many of `scores`, shape (rows,), are for walking."""
    return int(np.count_nonzero(is_walk(scores)))


def encode(scores: FloatArray, version: int) -> bytes:
    """Return the answer of `version` that has `scores`, shape (rows,), as a line of JSON."""
    # Both words are as long, so that they can be laid side by side.
    words = np.where(is_walk(scores), b'"walk",', b'"stop",').tobytes()[:-1]
    return b'{"decisions":[%s],"scores":%s,"version":%d}\n' % (
        words,
        to_json(scores.tolist()),
        version,
    )
