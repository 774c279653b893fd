"""Compress responses and decompress requests: gzip (RFC 1952), deflate as zlib (RFC 1950)."""

import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from streetlight.service.inference.tensors import Buffer
from streetlight.service.validation.problems import FieldError, Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# The values of zlib's `wbits` that select the two formats.
WINDOW_BITS = {"gzip": 31, "deflate": 15}
FASTEST_LEVEL = 1
# Bytes passed to zlib at once. At the end of a member zlib copies the bytes behind it, so with the
# whole rest of the body the time would grow with the square of the number of members.
CHUNK_SIZE = 4096
# Members of a gzip body. Each takes a microsecond, also an empty one of 20 bytes.
MAX_MEMBERS = 10_000


class UnknownEncodingError(UnsupportedMediaType):
    """The request's Content-Encoding is not supported."""

    def get_headers(
        self, environ: "WSGIEnvironment | None" = None, scope: dict[str, Any] | None = None
    ) -> list[tuple[str, str]]:
        """Return the headers, with the supported encodings in Accept-Encoding."""
        accepted = ("Accept-Encoding", ", ".join(WINDOW_BITS))
        return [*super().get_headers(environ, scope), accepted]


def decompress(body: Buffer, encoding: str, limit: int) -> Buffer:
    """Return the decompressed `body`, using memory for at most `limit` + 1 bytes of output.

    Raises:
        FieldError: the data is damaged or truncated, or has more than `MAX_MEMBERS` members.
        RequestEntityTooLarge: the result is longer than `limit` bytes.
        UnknownEncodingError: `encoding` is not supported.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW_BITS:
        expected = ", ".join(WINDOW_BITS)
        raise UnknownEncodingError(f"Content-Encoding: expected {expected}, got {encoding[:40]!r}")
    data, position, output, members = memoryview(body), 0, BytesIO(), 0
    # A gzip file may have several members, one after the other.
    while position < len(data):
        members += 1
        if members > MAX_MEMBERS:
            raise _damaged(encoding, f"more than {MAX_MEMBERS} members")
        stream = zlib.decompressobj(WINDOW_BITS[encoding])
        while not stream.eof:
            if not (chunk := data[position : position + CHUNK_SIZE]):
                raise _damaged(encoding, "unexpected end of the data")
            try:
                output.write(stream.decompress(chunk, limit + 1 - output.tell()))
            except zlib.error as error:
                raise _damaged(encoding, str(error)) from None
            if output.tell() > limit:
                raise RequestEntityTooLarge
            position += len(chunk) - len(stream.unused_data)
    return output.getvalue()


def _damaged(encoding: str, reason: str) -> FieldError:
    return FieldError(Problem("Content-Encoding", f"the body is not valid {encoding}: {reason}"))


def preferred_encoding(encodings: Iterable[str] = WINDOW_BITS) -> str | None:
    """Return the one of `encodings` that the client prefers; `None` if it prefers none of them."""
    accepted = request.accept_encodings
    best = max(encodings, key=lambda name: float(accepted[name]))
    return best if accepted[best] and accepted[best] >= accepted["identity"] else None


def compress(response: Response) -> Response:
    """Compress the body of `response` with the encoding that the client prefers, if any.

    The parts of a streamed body are compressed as they come.
    """
    response.vary.add("Accept-Encoding")
    encoding = preferred_encoding()
    if encoding is None:
        return response
    stream = zlib.compressobj(FASTEST_LEVEL, zlib.DEFLATED, WINDOW_BITS[encoding])
    if response.is_streamed:
        response.response = _compressed(response.iter_encoded(), stream)
    else:
        response.set_data(stream.compress(response.get_data()) + stream.flush())
    response.headers["Content-Encoding"] = encoding
    return response


def _compressed(parts: Iterable[bytes], stream: "zlib._Compress") -> Iterator[bytes]:
    for part in parts:
        if compressed := stream.compress(part):
            yield compressed
    yield stream.flush()
