"""The body of a request when all of it is here: a stream for who reads, bytes for who takes.

How it comes is in `arrival`; what it says, for others.
"""

from io import RawIOBase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

from streetlight.service.inference.tensors import Buffer


class RequestBody(RawIOBase):
    """A whole body, as WSGI wants it; `data` is all of it as it lies, without a copy."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self._at = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Give out the next bytes; none where all have been."""
        into = memoryview(buffer).cast("B")
        part = self.data[self._at : self._at + len(into)]
        into[: len(part)] = part
        self._at += len(part)
        return len(part)

    def clear(self) -> None:
        """Be empty from now on, whoever still holds it."""
        self.data = b""
