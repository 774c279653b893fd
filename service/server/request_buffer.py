"""The buffer for one HTTP/1.1 request: it detects from the bytes when the request is complete.

The buffer reads from no socket and doesn't validate the request. gunicorn's parser receives the
same bytes and does both.
"""

import re
from collections import deque
from collections.abc import Iterator

import numpy as np

# Bytes of the request line and headers; also of one chunk-size line, and of all trailers together.
MAX_HEAD = 64 * 1024
# The received bytes are stored in segments of about this many bytes.
SEGMENT_SIZE = 64 * 1024
# A request above this many bytes is large: few may arrive at once, to bound the memory.
LARGE_REQUEST = 256 * 1024
# A body in many tiny chunks costs much processor time for little data. The first
# UNCHECKED_CHUNKS chunks may have any size; after that, the mean must be at least MIN_CHUNK_SIZE.
UNCHECKED_CHUNKS = 10_000
MIN_CHUNK_SIZE = 64

FRAMING_HEADER = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)"
)
CHUNK_LINE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(;[^\n]*)?\r\n", re.IGNORECASE)


class RequestBuffer:
    """The bytes received of one request.

    Attributes:
        done: no more bytes are needed: the request is complete, or so malformed or so large that
            the server rejects it and closes the connection.
        complete: all of the request was received.
        segments: the received bytes, but for those in `body_buffer`.
        body_buffer: the body, if it is large and its length was announced; otherwise `None`.
        size: the number of bytes received.
        body_size: the number of bytes of the body that were announced so far.
        head_parsed: all headers were received.
        chunked: the body has the transfer coding `chunked`.
        expects_continue: the client waits for `100 Continue` before it sends the body.
        pipelined: bytes of the next request, received behind this one.
    """

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body
        self.segments: deque[bytearray] = deque([bytearray()])
        self.size = 0
        self.done = self.complete = False
        self.pipelined = b""
        self.body_buffer: memoryview | None = None
        self.expects_continue = False
        self.body_size = 0
        self.head_parsed = self.chunked = False
        # Bytes until the end of the current chunk, or of a body of known length.
        self._missing = 0
        self._chunk_count = 0
        self._in_trailers = False
        # The bytes received of the current chunk-size line, or of all trailers.
        self._line = bytearray()

    @property
    def large(self) -> bool:
        """Whether the request has, or announces, more than `LARGE_REQUEST` bytes."""
        return max(self.size, self.body_size) > LARGE_REQUEST

    @property
    def single_segment(self) -> bool:
        """Whether the request is complete, in one segment, and no pipelined bytes follow."""
        return self.complete and len(self.segments) == 1 and not self.pipelined

    @property
    def read_size(self) -> int:
        """The number of bytes to read next: what is missing, from 64 KiB to 1 MiB."""
        return max(SEGMENT_SIZE, min(self._missing, 16 * SEGMENT_SIZE))

    def feed(self, data: bytes) -> None:
        """Add the next bytes received."""
        if len(self.segments[-1]) >= SEGMENT_SIZE and self.head_parsed:
            self.segments.append(bytearray())
        self.segments[-1] += data
        self.size += len(data)
        if self.head_parsed:
            self._parse_body(data)
            return
        head = self.segments[0]
        end = head.find(b"\r\n\r\n", max(0, len(head) - len(data) - 3)) + 4
        if 4 <= end <= MAX_HEAD:
            self._parse_head(bytes(head[: end - 2]))
            if not self.done:
                self._parse_body(bytes(head[end:]))
        elif len(head) > MAX_HEAD:
            # An end of the headers is added, so that the parser can report the limit they exceed.
            head += b"\r\n\r\n"
            self.done = True
        elif head.count(b"\n") != head.count(b"\r\n"):
            self.done = True

    @property
    def uses_body_buffer(self) -> bool:
        """Whether the next bytes belong into `free_space()`, and must not be passed to `feed`."""
        return self.body_size > LARGE_REQUEST and not (self.chunked or self.done)

    def free_space(self) -> memoryview:
        """Return the part of the body buffer that is still to be filled.

        The socket writes into the buffer directly. Segments would be copied three times: when they
        are received, when the parser takes them, and when it joins them.
        """
        if self.body_buffer is None:
            # Unlike a bytearray, numpy's memory isn't zeroed first, and may be in huge pages.
            self.body_buffer = np.empty(self.body_size, np.uint8).data
            [head] = self.segments
            end = head.find(b"\r\n\r\n") + 4
            self.body_buffer[: len(head) - end] = head[end:]
            del head[end:]
        return self.body_buffer[self.body_size - self._missing :]

    def mark_received(self, size: int) -> None:
        """Record that `size` bytes were written into `free_space()`."""
        self.size += size
        self._missing -= size
        self.done = self.complete = not self._missing

    def take_segments(self) -> Iterator[bytes]:
        """Yield the segments, and remove each."""
        while self.segments:
            yield bytes(self.segments.popleft())

    def _parse_head(self, head: bytes) -> None:
        fields: dict[bytes, bytes] = {}
        for name, value in FRAMING_HEADER.findall(head.lower()):
            self.done |= name in fields
            fields[name] = value.strip(b" \t")
        length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        self.expects_continue = fields.get(b"expect") == b"100-continue"
        self.head_parsed = True
        if coding is not None:
            self.chunked = True
            self.done |= coding != b"chunked" or length is not None
        elif length is not None:
            # gunicorn's parser rejects a length that isn't a number. A number of 100 digits is too
            # large anyway.
            self.done |= not length.isdigit()
            self._missing = self.body_size = int(length[:100]) if length.isdigit() else 0
        self.done |= self.body_size > self.max_body

    def _parse_body(self, data: bytes) -> None:
        position = 0
        while not self.done:
            size = min(self._missing, len(data) - position)
            position, self._missing = position + size, self._missing - size
            if self._missing:
                return
            if not self.chunked:
                self.done = self.complete = True
                break
            line_end = data.find(b"\n", position) + 1
            self._line += data[position : line_end or None]
            if len(self._line) > MAX_HEAD:
                self.done = True
            if not line_end:
                return
            position = line_end
            self._parse_line()
        if self.complete and position < len(data):
            self.pipelined = data[position:]
            del self.segments[-1][-len(self.pipelined) :]

    def _parse_line(self) -> None:
        line = bytes(self._line)
        if self._in_trailers:
            # `_line` keeps all trailers, so that MAX_HEAD bounds them together.
            self.done = self.complete = line.endswith((b"\n\r\n", b"\n\n")) or line == b"\r\n"
            return
        self._line.clear()
        match = CHUNK_LINE.fullmatch(line)
        size = int(match[1], 16) if match else 0
        self.body_size += size
        self._chunk_count += 1
        self._in_trailers = size == 0
        self._missing = size + 2 if size else 0
        too_small = (
            self._chunk_count > UNCHECKED_CHUNKS
            and self.body_size < self._chunk_count * MIN_CHUNK_SIZE
        )
        self.done = not match or too_small or self.body_size > self.max_body
