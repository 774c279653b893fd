"""Tensors of the Open Inference Protocol: numbers from JSON or bytes, and back.

Little-endian and row by row, as the protocol's binary extension lays them out. What a request is
made of, and which tensors a model takes and gives, is in `inference`.
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
    "BF16": "<u2",  # the upper half of an FP32's bits; numpy has no such type
}
LEAVES = {"b": "true or false", "u": "a whole number", "i": "a whole number", "f": "a number"}
MAX_ELEMENTS = 2**40


class TensorError(ValueError):
    """A tensor is not what its datatype and shape say; the message doesn't name it."""


def element_count(shape: Sequence[int]) -> int:
    """Return how many elements there are.

    Raises:
        TensorError: so many that no body could hold them.
    """
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise TensorError(f"shape {list(shape)} has more elements than a request can hold")
    return count


def from_json(data: object, datatype: str, shape: Sequence[int]) -> FloatArray:
    """Return nested or flat JSON lists as numbers of that shape.

    Raises:
        TensorError: other leaves than the datatype has, or not as many as the shape says.
    """
    if datatype in ("FP16", "BF16"):
        raise TensorError(f"JSON has no {datatype}; send it in binary, or as FP32 or FP64")
    leaves = _leaves(data, len(shape))
    if len(leaves) != element_count(shape):
        raise TensorError(
            f"shape {list(shape)} expects {element_count(shape)} elements, got {len(leaves)}"
        )
    dtype = np.dtype(DTYPES[datatype])
    wanted: set[type] = {int}
    if dtype.kind in "bf":
        wanted = {bool} if dtype.kind == "b" else {int, float}
    if not set(map(type, leaves)) <= wanted:
        wrong = next(i for i, leaf in enumerate(leaves) if type(leaf) not in wanted)
        expected = LEAVES[dtype.kind]
        raise TensorError(f"data[{wrong}]: expected {expected}, got {leaves[wrong]!r:.80}")
    try:
        with np.errstate(over="raise"):
            return np.array(leaves, dtype).astype(np.float64).reshape(shape)
    except (OverflowError, FloatingPointError):
        raise TensorError(f"data: a number is out of the range of {datatype}") from None


def _leaves(data: object, rank: int) -> list[Any]:
    """Take the lists apart, level by level: in C, where a loop over millions would be in Python."""
    leaves: list[Any] = [data]
    for _ in range(rank):
        if not all(type(item) is list for item in leaves):
            break
        leaves = list(chain.from_iterable(leaves))
    if not isinstance(data, list):
        raise TensorError(f"data: expected a list, got {data!r:.80}")
    return leaves


def from_bytes(data: Buffer, datatype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Return packed numbers as an array of that shape and type, as they lie, without copying.

    BF16 becomes FP32, and BOOL UINT8.

    Raises:
        TensorError: not as many bytes as datatype and shape say, or a BOOL that is neither 0 nor 1.
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
    """Return BYTES elements: each its length in four bytes, then itself."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
