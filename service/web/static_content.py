"""Files and documents that stay as they are: compressed once, and sent only if they are new."""

import gzip
import hashlib
from functools import lru_cache
from mimetypes import guess_type
from pathlib import Path

from flask import Response, request

from streetlight.service.web.compression import preferred_encoding


class StaticContent:
    """A document, its gzip encoding, and the digest that makes the entity tag of each."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self._bodies = {None: content, "gzip": gzip.compress(content, mtime=0)}
        self._media_type = media_type
        self._digest = hashlib.sha256(content).hexdigest()[:32]

    def response(self) -> Response:
        """Return the response to the current request: 304 if the client has the content."""
        encoding = preferred_encoding(["gzip"])
        response = Response(self._bodies[encoding], mimetype=self._media_type)
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = "no-cache"
        response.set_etag(f"{self._digest}-{encoding}" if encoding else self._digest)
        if encoding:
            response.headers["Content-Encoding"] = encoding
        response.make_conditional(request)
        return response


def send_static_file(path: Path) -> Response:
    """Return the response to the current request with the file at `path`."""
    return _load(path, path.stat().st_mtime_ns).response()


@lru_cache(maxsize=256)
def _load(path: Path, _modified: int) -> StaticContent:
    return StaticContent(path.read_bytes(), guess_type(path)[0] or "application/octet-stream")
