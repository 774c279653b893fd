"""Compression of bodies, gzip (RFC 1952) and deflate in its zlib form (RFC 1950), both ways."""

import zlib
from typing import TYPE_CHECKING, Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from streetlight.service.inference.tensors import Buffer
from streetlight.service.validation.problems import FieldError, Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# zlib's names for the two formats.
WINDOW_BITS = {"gzip": 31, "deflate": 15}
QUICK = 1


class UnknownEncodingError(UnsupportedMediaType):
    """A Content-Encoding that isn't understood here."""

    def get_headers(
        self, environ: "WSGIEnvironment | None" = None, scope: dict[str, Any] | None = None
    ) -> list[tuple[str, str]]:
        """Say which are."""
        accepted = ("Accept-Encoding", ", ".join(WINDOW_BITS))
        return [*super().get_headers(environ, scope), accepted]


def decompress(body: Buffer, encoding: str, limit: int) -> Buffer:
    """Return `body` as it was before `encoding`; what would exceed `limit` is never made.

    Raises:
        FieldError: it is damaged or cut short.
        RequestEntityTooLarge: there would be more than `limit` bytes.
        UnknownEncodingError: of the encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW_BITS:
        expected = ", ".join(WINDOW_BITS)
        raise UnknownEncodingError(f"Content-Encoding: expected {expected}, got {encoding[:40]!r}")
    whole = b""
    while body:
        stream = zlib.decompressobj(WINDOW_BITS[encoding])
        try:
            part = stream.decompress(body, limit + 1 - len(whole))
        except zlib.error as error:
            raise _damaged(encoding, str(error)) from None
        whole = whole + part if whole else part
        if len(whole) > limit:
            raise RequestEntityTooLarge
        if not stream.eof:
            raise _damaged(encoding, "it ends too early")
        # gzip files may stand one behind the other.
        body = stream.unused_data
    return whole


def _damaged(encoding: str, why: str) -> FieldError:
    return FieldError(Problem("Content-Encoding", f"the body is not {encoding}: {why}"))


def compressed(response: Response) -> Response:
    """Compress the body of `response` if the client asked for it."""
    response.vary.add("Accept-Encoding")
    accepted = request.accept_encodings
    encoding = max(WINDOW_BITS, key=lambda name: float(accepted[name]))
    if not accepted[encoding]:
        return response
    stream = zlib.compressobj(QUICK, zlib.DEFLATED, WINDOW_BITS[encoding])
    response.set_data(stream.compress(response.get_data()) + stream.flush())
    response.headers["Content-Encoding"] = encoding
    return response
