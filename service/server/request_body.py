"""A received request body, as the WSGI input stream and as one buffer of bytes.

`request_buffer` receives the bytes; the application decodes them.
"""

from io import RawIOBase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

from streetlight.service.inference.tensors import Buffer


class RequestBody(RawIOBase):
    """The stream of a complete request body; `data` is the whole body, without a copy."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self._position = 0

    def readable(self) -> bool:
        """Return `True`."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Copy the next bytes into `buffer`; return how many, 0 at the end of the body."""
        target = memoryview(buffer).cast("B")
        part = self.data[self._position : self._position + len(target)]
        target[: len(part)] = part
        self._position += len(part)
        return len(part)

    def clear(self) -> None:
        """Release the bytes, even if the stream is still referenced."""
        self.data = b""
