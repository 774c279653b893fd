"""Decode batches of light states from JSON and CSV, and encode their scores, as arrays.

A Python object for each number would take longer than the rest of a batch request, and much more
memory. Only simple forms are decoded here: the caller parses any other body into objects, which has
lower bounds and also reports errors. Batches are decoded and encoded in blocks, so that the other
threads run in between.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from streetlight.model.dataset import FloatArray, is_walk
from streetlight.model.network import blocks
from streetlight.service.validation.json_bounds import TooManyValuesError

# The numbers of a request. As many take half a second.
MAX_NUMBERS = 4_000_000
# Bytes, and rows, decoded and encoded at a time, which takes a few milliseconds.
BLOCK_BYTES = 64 * 1024
# Bytes of a block with one long row. A regular expression takes 170 times the memory.
MAX_BLOCK = 256 * 1024
BLOCK_ROWS = 8192
# The longest number and the longest decision in JSON, with a comma, in bytes.
NUMBER_BYTES = 25
DECISION_BYTES = 7
COLUMN_BYTES = NUMBER_BYTES + 2

WHITESPACE = b" \t\r\n"
NUMBER_CHARACTERS = b"0123456789+-.eE"
CSV_CHARACTERS = NUMBER_CHARACTERS + b", \t\n"
BRACKETS_TO_SPACES = bytes.maketrans(b"[]", b"  ")

SEPARATOR = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*(?=\[)")
# No block of rows.
MALFORMED = b"]"
# A row whose numbers are single digits, with the separator before the next row.
DIGIT_ROW = re.compile(
    rb"\[[ \t\r\n]*[0-9](?:[ \t\r\n]*,[ \t\r\n]*[0-9])*[ \t\r\n]*\]"
    rb"(?:[ \t\r\n]*,[ \t\r\n]*(?=\[)|\Z)"
)


def decode_rows(body: bytes, name: str, lights: int) -> FloatArray | None:
    """Return the rows of `{"<name>": [[…], …]}`, shape (rows, lights); `None` for other bodies.

    Without a name, the body is the list of rows. Each row must have `lights` finite numbers, and
    the object no other key.

    Raises:
        TooManyValuesError: the rows have more than `MAX_NUMBERS` numbers.
    """
    prefix, suffix = _frame(name)
    first = prefix.match(body)
    end = body.rfind(b"]", 0, body.rfind(b"]")) + 1
    if not (first and end > first.end() and suffix.match(body, end)):
        return None
    return _decode_blocks(_split_json(body, first.end(), end), lights)


def decode_csv(body: bytes, lights: int) -> FloatArray | None:
    """Return the rows of a CSV without a header, shape (rows, lights); `None` for other bodies.

    The cells must be finite numbers as JSON has them, without quotes.

    Raises:
        TooManyValuesError: the rows have more than `MAX_NUMBERS` numbers.
    """
    return _decode_blocks(_split_csv(body.rstrip(b"\r\n")), lights)


@cache
def _frame(name: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of the JSON before the first row, and after the last."""
    space = rb"[ \t\r\n]*"
    prefix, suffix = [b"", rb"\[", rb"(?=\[)"], [b"", rb"\]", rb"\Z"]
    if name:
        prefix[1:1] = [rb"\{", b'"%s"' % name.encode(), b":"]
        suffix[2:2] = [rb"\}"]
    return re.compile(space.join(prefix)), re.compile(space.join(suffix))


def _split_json(body: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the rows between two positions in blocks."""
    while start < end:
        cut = body.find(b"]", min(start + BLOCK_BYTES, end - 1)) + 1
        yield body[start:cut]
        start = cut
        if cut < end:
            separator = SEPARATOR.match(body, cut)
            if not separator:
                yield MALFORMED
                return
            start = separator.end()


def _split_csv(body: bytes) -> Iterator[bytes]:
    """Yield the lines in blocks, as JSON."""
    start = 0
    while start <= len(body):
        cut = body.find(b"\n", start + BLOCK_BYTES)
        cut = len(body) if cut < 0 else cut
        lines = body[start:cut].replace(b"\r\n", b"\n").removesuffix(b"\r")
        if lines.translate(None, CSV_CHARACTERS):
            yield MALFORMED
        yield b"[" + lines.replace(b"\n", b"],[") + b"]"
        start = cut + 1


def _decode_blocks(rows: Iterable[bytes], lights: int) -> FloatArray | None:
    arrays: list[FloatArray] = []
    numbers = 0
    for block in rows:
        if len(block) > MAX_BLOCK:
            return None
        array = _decode_digits(block)
        if array is None:
            array = _decode_numbers(block, lights)
        if array is None or array.shape[1] != lights:
            return None
        arrays.append(array)
        numbers += array.size
        if numbers > MAX_NUMBERS:
            raise TooManyValuesError(f"expected at most {MAX_NUMBERS} numbers; send fewer rows")
    return np.concatenate(arrays) if len(arrays) != 1 else arrays[0]


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


def _decode_numbers(rows: bytes, lights: int) -> FloatArray | None:
    """Return the rows: check the brackets and commas, then parse all numbers as one list."""
    punctuation = rows.translate(None, NUMBER_CHARACTERS + WHITESPACE)
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


def encode_items(
    scores: FloatArray, items: Callable[[FloatArray], list[Any]] = np.ndarray.tolist
) -> bytes:
    """Return the JSON items that `items` returns for `scores`, shape (rows,), without brackets."""
    if len(scores) <= BLOCK_ROWS:
        return to_json(items(scores))[1:-1]
    return b",".join(
        [to_json(items(scores[block]))[1:-1] for block in blocks(len(scores), BLOCK_ROWS)]
    )


def encode_column(scores: FloatArray) -> bytes:
    """Return `scores`, shape (rows,), as JSON lists of one number each, without brackets."""
    return b"[%s]" % encode_items(scores).replace(b",", b"],[") if len(scores) else b""


def encode_decisions(scores: FloatArray) -> bytes:
    """Return the decisions that follow from `scores`, shape (rows,), as JSON without brackets."""
    # "walk" and "stop" have the same length, so the items of the array are the JSON text.
    return np.where(is_walk(scores), b'"walk",', b'"stop",').tobytes()[:-1]


def encode(scores: FloatArray, version: int) -> bytes:
    """Return the JSON response with the decisions and `scores`, shape (rows,), of `version`."""
    return b'{"decisions":[%s],"scores":[%s],"version":%d}\n' % (
        encode_decisions(scores),
        encode_items(scores),
        version,
    )
