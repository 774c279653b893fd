"""The header Location of every response, relative to the path of its request.

A proxy may have removed a prefix from that path, so an absolute path could be wrong for the client.
"""

from flask import Flask, Response, request


def init_app(app: Flask) -> None:
    """Make the Location of every response of `app` relative."""
    app.after_request(_make_relative)


def _make_relative(response: Response) -> Response:
    if location := response.headers.get("Location"):
        # Werkzeug's redirects have the whole URL.
        path = location.removeprefix(request.root_url).lstrip("/")
        response.headers["Location"] = "../" * request.path.count("/", 1) + path
    return response
