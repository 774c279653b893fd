"""Decode and encode the tensors of the Open Inference Protocol, in JSON and in binary.

Binary tensors are little-endian and in row-major order, as in the protocol's binary extension.
`v2_request` and `v2_response` have the messages that contain them.
"""

import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from streetlight.model.dataset import FloatArray

Buffer = bytes | memoryview

DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BF16": "<u2",  # the upper 16 bits of an FP32; numpy has no such type
}
EXPECTED_ITEMS = {
    "b": "true or false",
    "u": "a whole number",
    "i": "a whole number",
    "f": "a number",
}
MAX_ELEMENTS = 2**40


class TensorError(ValueError):
    """The data don't match the datatype and the shape; the message doesn't name the tensor."""


def element_count(shape: Sequence[int]) -> int:
    """Return the number of elements of a tensor.

    Raises:
        TensorError: the shape has more than `MAX_ELEMENTS` elements.
    """
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise TensorError(f"shape {list(shape)} has more elements than a request can hold")
    return count


def array_from_json(data: object, datatype: str, shape: Sequence[int]) -> FloatArray:
    """Return the numbers in flat or nested JSON lists, as an array of the given shape.

    Raises:
        TensorError: a number isn't of the datatype, or their count doesn't match the shape.
    """
    if datatype in ("FP16", "BF16"):
        raise TensorError(f"JSON has no {datatype}; send it in binary, or as FP32 or FP64")
    items = _flatten(data, len(shape))
    if len(items) != element_count(shape):
        raise TensorError(
            f"shape {list(shape)} expects {element_count(shape)} elements, got {len(items)}"
        )
    dtype = np.dtype(DTYPES[datatype])
    types: set[type] = {int}
    if dtype.kind in "bf":
        types = {bool} if dtype.kind == "b" else {int, float}
    if not set(map(type, items)) <= types:
        wrong = next(i for i, item in enumerate(items) if type(item) not in types)
        expected = EXPECTED_ITEMS[dtype.kind]
        raise TensorError(f"data[{wrong}]: expected {expected}, got {items[wrong]!r:.80}")
    try:
        if dtype.itemsize == 8:  # no number is too large: a list of ints or floats fits, or raises
            return np.array(items, dtype).astype(np.float64, copy=False).reshape(shape)
        with np.errstate(over="raise"):
            return np.array(items, dtype).astype(np.float64).reshape(shape)
    except (OverflowError, FloatingPointError):
        raise TensorError(f"data: a number is out of the range of {datatype}") from None


def _flatten(data: object, rank: int) -> list[Any]:
    """Return the items of a list that is nested up to `rank` deep.

    `chain` flattens each level in C, which is faster than a loop in Python over all items.
    """
    items: list[Any] = [data]
    for _ in range(rank):
        if not all(type(item) is list for item in items):
            break
        items = list(chain.from_iterable(items))
    if not isinstance(data, list):
        raise TensorError(f"data: expected a list, got {data!r:.80}")
    return items


def array_from_bytes(data: Buffer, datatype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Return a view of `data` as an array of the given datatype and shape, without copying.

    BOOL is returned as UINT8, and BF16 is copied to FP32.

    Raises:
        TensorError: the length doesn't match the datatype and the shape, or a BOOL isn't 0 or 1.
    """
    dtype = np.dtype(DTYPES[datatype])
    expected = element_count(shape) * dtype.itemsize
    if len(data) != expected:
        raise TensorError(f"{datatype} of shape {list(shape)} is {expected} bytes, got {len(data)}")
    packed: npt.NDArray[Any] = np.frombuffer(data, np.uint8 if datatype == "BOOL" else dtype)
    if datatype == "BOOL" and len(packed) and packed.max() > 1:
        raise TensorError("data: expected bytes of 0 or 1 for BOOL")
    if datatype == "BF16":
        packed = (packed.astype("<u4") << 16).view("<f4")
    return packed.reshape(shape)


def texts_to_bytes(texts: Sequence[str]) -> bytes:
    """Return the texts as BYTES elements: the length in four bytes, then the text in UTF-8."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
