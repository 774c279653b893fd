"""Arrival: tells from the bytes of an HTTP/1.1 request when all of it is here.

Nothing is read from a socket here, and nothing judged: what the request says, and whether it is
fit to be answered, is for gunicorn's parser, which is handed the same bytes.
"""

import re
from collections import deque
from collections.abc import Iterator

import numpy as np

MOST_HEAD = 64 * 1024
PIECE = 64 * 1024
# From here on a request is large: few may arrive at once, or their bytes would fill the memory.
LARGE = 256 * 1024
# So many chunks may be as small as they like; those beyond, on average, no smaller than this.
FREE_CHUNKS = 10_000
LEAST_CHUNK = 64

FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)")
CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(;[^\n]*)?\r\n", re.IGNORECASE)


class Arrival:
    """What has come of one request.

    It is `over` when no more is to be waited for: `whole`, or so large or so malformed that its
    answer is known and the connection of no use after it. `rest` is what came of the next one.
    """

    def __init__(self, most_body: int) -> None:
        self.most_body = most_body
        self.pieces: deque[bytearray] = deque([bytearray()])
        self.size = 0
        self.over = self.whole = False
        self.rest = b""
        # A large body whose length is announced, and the buffer it lies in from its first byte on.
        self.lump: memoryview | None = None
        self.expects = False
        # Of the body: bytes announced so far, and how many until there is something to look at.
        self.body = 0
        self._skip = 0
        self.framed = self.chunked = False
        self._chunks = 0
        self._trailers = False
        self._line = bytearray()

    @property
    def large(self) -> bool:
        """Whether it takes much memory, or will."""
        return max(self.size, self.body) > LARGE

    @property
    def small(self) -> bool:
        """Whether it is whole, in one piece, and nothing came behind it."""
        return self.whole and len(self.pieces) == 1 and not self.rest

    @property
    def wanted(self) -> int:
        """How many bytes to read at once: what is missing, and of what may follow a little."""
        return max(PIECE, min(self._skip, 16 * PIECE))

    def feed(self, data: bytes) -> None:
        """Take what came next."""
        if len(self.pieces[-1]) >= PIECE and self.framed:
            self.pieces.append(bytearray())
        self.pieces[-1] += data
        self.size += len(data)
        if self.framed:
            self._walk(data)
            return
        head = self.pieces[0]
        end = head.find(b"\r\n\r\n", max(0, len(head) - len(data) - 3)) + 4
        if 4 <= end <= MOST_HEAD:
            self._frame(bytes(head[: end - 2]))
            if not self.over:
                self._walk(bytes(head[end:]))
        elif len(head) > MOST_HEAD:
            # Ended here, so that the parser finds which of its limits it breaks.
            head += b"\r\n\r\n"
            self.over = True
        elif head.count(b"\n") != head.count(b"\r\n"):
            self.over = True

    @property
    def has_room(self) -> bool:
        """Whether what comes belongs into `room`, and need not be fed."""
        return self.body > LARGE and not (self.chunked or self.over)

    def room(self) -> memoryview:
        """Return where the bytes that come next belong.

        The kernel writes them where they are read in the end: in pieces, they would be copied when
        they come, when the parser takes them, and when it puts them together.
        """
        if self.lump is None:
            # numpy's memory is not filled with zeros first, and of huge pages where there are any.
            self.lump = np.empty(self.body, np.uint8).data
            [head] = self.pieces
            end = head.find(b"\r\n\r\n") + 4
            self.lump[: len(head) - end] = head[end:]
            del head[end:]
        return self.lump[self.body - self._skip :]

    def fill(self, size: int) -> None:
        """Take note of what came into `room`."""
        self.size += size
        self._skip -= size
        self.over = self.whole = not self._skip

    def taken(self) -> Iterator[bytes]:
        """Give the bytes away, piece by piece."""
        while self.pieces:
            yield bytes(self.pieces.popleft())

    def _frame(self, head: bytes) -> None:
        fields: dict[bytes, bytes] = {}
        for name, value in FRAMING.findall(head.lower()):
            self.over |= name in fields
            fields[name] = value.strip(b" \t")
        length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        self.expects = fields.get(b"expect") == b"100-continue"
        self.framed = True
        if coding is not None:
            self.chunked = True
            self.over |= coding != b"chunked" or length is not None
        elif length is not None:
            # What is no number is refused, and what has a hundred digits is too large in any case.
            self.over |= not length.isdigit()
            self._skip = self.body = int(length[:100]) if length.isdigit() else 0
        self.over |= self.body > self.most_body

    def _walk(self, data: bytes) -> None:
        at = 0
        while not self.over:
            step = min(self._skip, len(data) - at)
            at, self._skip = at + step, self._skip - step
            if self._skip:
                return
            if not self.chunked:
                self.over = self.whole = True
                break
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or None]
            if len(self._line) > MOST_HEAD:
                self.over = True
            if not end:
                return
            at = end
            self._end_line()
        if self.whole and at < len(data):
            self.rest = data[at:]
            del self.pieces[-1][-len(self.rest) :]

    def _end_line(self) -> None:
        line = bytes(self._line)
        if self._trailers:
            # Kept until the end, so that all trailers together are bounded.
            self.over = self.whole = line.endswith((b"\n\r\n", b"\n\n")) or line == b"\r\n"
            return
        self._line.clear()
        found = CHUNK_SIZE.fullmatch(line)
        size = int(found[1], 16) if found else 0
        self.body += size
        self._chunks += 1
        self._trailers = size == 0
        self._skip = size + 2 if size else 0
        small = self._chunks > FREE_CHUNKS and self.body < self._chunks * LEAST_CHUNK
        self.over = not found or small or self.body > self.most_body
