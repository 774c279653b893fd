"""Arrival: tells from the bytes of an HTTP/1.1 request when all of it is here.

Nothing is read from a socket here, and nothing judged: what the request says, and whether it is
fit to be answered, is for gunicorn's parser, which is handed the same bytes.
"""

import re
from collections import deque
from collections.abc import Iterator

import numpy as np

MAX_HEAD = 64 * 1024
CHUNK = 64 * 1024
# From here on a request is large: few may arrive at once, or their bytes would fill the memory.
LARGE = 256 * 1024
# So many chunks may be as small as they like; those beyond, on average, no smaller than this.
UNCHECKED_CHUNKS = 10_000
MIN_CHUNK_SIZE = 64

FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)")
CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(;[^\n]*)?\r\n", re.IGNORECASE)


class RequestBuffer:
    """What has come of one request.

    It is `over` when no more is to be waited for: `whole`, or so large or so malformed that its
    answer is known and the connection of no use after it. `rest` is what came of the next one.
    """

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body
        self.chunks: deque[bytearray] = deque([bytearray()])
        self.size = 0
        self.done = self.complete = False
        self.pipelined = b""
        # A large body whose length is announced, and the buffer it lies in from its first byte on.
        self.body_buffer: memoryview | None = None
        self.expects = False
        # Of the body: bytes announced so far, and how many until there is something to look at.
        self.body_size = 0
        self._missing = 0
        self.framed = self.chunked = False
        self._chunks = 0
        self._trailers = False
        self._line = bytearray()

    @property
    def large(self) -> bool:
        """Whether it takes much memory, or will."""
        return max(self.size, self.body_size) > LARGE

    @property
    def single_chunk(self) -> bool:
        """Whether it is whole, in one piece, and nothing came behind it."""
        return self.complete and len(self.chunks) == 1 and not self.pipelined

    @property
    def read_size(self) -> int:
        """How many bytes to read at once: what is missing, and of what may follow a little."""
        return max(CHUNK, min(self._missing, 16 * CHUNK))

    def feed(self, data: bytes) -> None:
        """Take what came next."""
        if len(self.chunks[-1]) >= CHUNK and self.framed:
            self.chunks.append(bytearray())
        self.chunks[-1] += data
        self.size += len(data)
        if self.framed:
            self._parse_body(data)
            return
        head = self.chunks[0]
        end = head.find(b"\r\n\r\n", max(0, len(head) - len(data) - 3)) + 4
        if 4 <= end <= MAX_HEAD:
            self._parse_head(bytes(head[: end - 2]))
            if not self.done:
                self._parse_body(bytes(head[end:]))
        elif len(head) > MAX_HEAD:
            # Ended here, so that the parser finds which of its limits it breaks.
            head += b"\r\n\r\n"
            self.done = True
        elif head.count(b"\n") != head.count(b"\r\n"):
            self.done = True

    @property
    def has_free_space(self) -> bool:
        """Whether what comes belongs into `room`, and need not be fed."""
        return self.body_size > LARGE and not (self.chunked or self.done)

    def free_space(self) -> memoryview:
        """Return where the bytes that come next belong.

        The kernel writes them where they are read in the end: in pieces, they would be copied when
        they come, when the parser takes them, and when it puts them together.
        """
        if self.body_buffer is None:
            # numpy's memory is not filled with zeros first, and of huge pages where there are any.
            self.body_buffer = np.empty(self.body_size, np.uint8).data
            [head] = self.chunks
            end = head.find(b"\r\n\r\n") + 4
            self.body_buffer[: len(head) - end] = head[end:]
            del head[end:]
        return self.body_buffer[self.body_size - self._missing :]

    def mark_received(self, size: int) -> None:
        """Take note of what came into `room`."""
        self.size += size
        self._missing -= size
        self.done = self.complete = not self._missing

    def take_chunks(self) -> Iterator[bytes]:
        """Give the bytes away, piece by piece."""
        while self.chunks:
            yield bytes(self.chunks.popleft())

    def _parse_head(self, head: bytes) -> None:
        fields: dict[bytes, bytes] = {}
        for name, value in FRAMING.findall(head.lower()):
            self.done |= name in fields
            fields[name] = value.strip(b" \t")
        length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        self.expects = fields.get(b"expect") == b"100-continue"
        self.framed = True
        if coding is not None:
            self.chunked = True
            self.done |= coding != b"chunked" or length is not None
        elif length is not None:
            # What is no number is refused, and what has a hundred digits is too large in any case.
            self.done |= not length.isdigit()
            self._missing = self.body_size = int(length[:100]) if length.isdigit() else 0
        self.done |= self.body_size > self.max_body

    def _parse_body(self, data: bytes) -> None:
        at = 0
        while not self.done:
            step = min(self._missing, len(data) - at)
            at, self._missing = at + step, self._missing - step
            if self._missing:
                return
            if not self.chunked:
                self.done = self.complete = True
                break
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or None]
            if len(self._line) > MAX_HEAD:
                self.done = True
            if not end:
                return
            at = end
            self._parse_line()
        if self.complete and at < len(data):
            self.pipelined = data[at:]
            del self.chunks[-1][-len(self.pipelined) :]

    def _parse_line(self) -> None:
        line = bytes(self._line)
        if self._trailers:
            # Kept until the end, so that all trailers together are bounded.
            self.done = self.complete = line.endswith((b"\n\r\n", b"\n\n")) or line == b"\r\n"
            return
        self._line.clear()
        found = CHUNK_SIZE.fullmatch(line)
        size = int(found[1], 16) if found else 0
        self.body_size += size
        self._chunks += 1
        self._trailers = size == 0
        self._missing = size + 2 if size else 0
        too_small = (
            self._chunks > UNCHECKED_CHUNKS and self.body_size < self._chunks * MIN_CHUNK_SIZE
        )
        self.done = not found or too_small or self.body_size > self.max_body
