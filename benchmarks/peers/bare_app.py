"""A WSGI application that reads the body and returns a constant response."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

BODY = b'{"decision":"walk","score":1.0,"version":1}\n'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Return the same response to every request."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [BODY]
