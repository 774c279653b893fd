"""Redirect to the paths of routes, which have no repeated and no trailing slashes.

`middleware.location` makes the addresses relative.
"""

import re
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask.globals import request_ctx
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect


def init_app(app: Flask) -> None:
    """Redirect requests to `app` with other paths."""
    app.before_request(_redirect)


def _redirect() -> Response | None:
    """Return a redirection to the route without the slashes, if there is one."""
    error, adapter = request.routing_exception, request_ctx.url_adapter
    if isinstance(error, RequestRedirect):
        path = urlsplit(error.new_url).path.removeprefix(request.script_root)
    elif isinstance(error, NotFound) and adapter is not None:
        path = re.sub("/+", "/", request.path).rstrip("/")
        if path == request.path or not adapter.allowed_methods(path):
            return None
    else:
        return None
    query = request.query_string.decode("latin-1")
    return Response(status=308, headers={"Location": path + ("?" + query if query else "")})
