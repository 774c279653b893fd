"""Headers that every response has: browsers must not guess its type, and caches must not store it.

A view that sets one of them, as those of static files do, overrides it.
"""

from flask import Flask, Response

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
# The same for responses of the server, which are built without Flask.
HEADER_LINES = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())


def init_app(app: Flask) -> None:
    """Add the headers to every response of `app`."""
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
