"""Compress responses and decompress requests: gzip (RFC 1952), deflate as zlib (RFC 1950)."""

import zlib
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
        FieldError: the data is damaged or truncated.
        RequestEntityTooLarge: the result is longer than `limit` bytes.
        UnknownEncodingError: `encoding` is not supported.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW_BITS:
        expected = ", ".join(WINDOW_BITS)
        raise UnknownEncodingError(f"Content-Encoding: expected {expected}, got {encoding[:40]!r}")
    result = b""
    while body:
        stream = zlib.decompressobj(WINDOW_BITS[encoding])
        try:
            member = stream.decompress(body, limit + 1 - len(result))
        except zlib.error as error:
            raise _damaged(encoding, str(error)) from None
        result = result + member if result else member
        if len(result) > limit:
            raise RequestEntityTooLarge
        if not stream.eof:
            raise _damaged(encoding, "unexpected end of the data")
        # A gzip file may have several members, one after the other.
        body = stream.unused_data
    return result


def _damaged(encoding: str, reason: str) -> FieldError:
    return FieldError(Problem("Content-Encoding", f"the body is not valid {encoding}: {reason}"))


def compress(response: Response) -> Response:
    """Compress the body of `response` with the encoding that the client prefers, if any."""
    response.vary.add("Accept-Encoding")
    accepted = request.accept_encodings
    encoding = max(WINDOW_BITS, key=lambda name: float(accepted[name]))
    if not accepted[encoding]:
        return response
    stream = zlib.compressobj(FASTEST_LEVEL, zlib.DEFLATED, WINDOW_BITS[encoding])
    response.set_data(stream.compress(response.get_data()) + stream.flush())
    response.headers["Content-Encoding"] = encoding
    return response
