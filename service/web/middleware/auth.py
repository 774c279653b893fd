"""Authorization of the requests that change state.

Every request except GET, HEAD and OPTIONS counts as changing state, unless its view is marked with
`read_only`. If an API key is set, such a request must send it; and a browser may send such a
request only from a page of the same origin.
"""

import hmac
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request

from streetlight.service.web.application import services
from streetlight.service.web.response import json_response

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

ViewT = TypeVar("ViewT", bound=Callable[..., Response])


def read_only(view: ViewT) -> ViewT:
    """Mark a POST view that changes no state: it needs no API key and accepts any origin."""
    vars(view)["read_only"] = True
    return view


def changes_state(method: str, view: object) -> bool:
    """Return whether a request of `method` to `view` counts as changing state."""
    return method not in SAFE and not getattr(view, "read_only", False)


def init_app(app: Flask) -> None:
    """Authorize every request of `app` that changes state."""
    app.before_request(_authorize)


def _authorize() -> Response | None:
    """Return the response to a request that isn't authorized, `None` for all others."""
    endpoint = request.endpoint
    if endpoint is None or not changes_state(request.method, current_app.view_functions[endpoint]):
        return None
    if _is_from_another_origin():
        return json_response(
            {"error": "requests that change state are accepted from pages of the same origin only"},
            403,
        )
    key = services().settings.api_key
    if key is None:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected = key.get_secret_value().encode()
    if scheme.lower() == "bearer" and hmac.compare_digest(
        token.strip().encode("latin-1"), expected
    ):
        return None
    message = "this request changes state: expected the header Authorization: Bearer <the API key>"
    response = json_response({"error": message}, 401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _is_from_another_origin() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # The browser has compared the origins; this holds even if a proxy changes the Host header.
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != request.host
    except ValueError:
        return True
