"""Access: who may change state. The default is the strict one.

Every request but GET, HEAD and OPTIONS counts as changing state, unless its view is marked with
`read_only`. With an API key set, such a request must bear it; and a browser may send one
only from a page of this very host.
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
    """Mark a view that takes a body and yet changes no state: anyone may call it."""
    vars(view)["read_only"] = True
    return view


def changes_state(method: str, view: object) -> bool:
    """Tell whether a request of `method` to `view` counts as changing state."""
    return method not in SAFE and not getattr(view, "read_only", False)


def init_app(app: Flask) -> None:
    """Guard every route of `app` that changes state."""
    app.before_request(_guard)


def _guard() -> Response | None:
    endpoint = request.endpoint
    if endpoint is None or not changes_state(request.method, current_app.view_functions[endpoint]):
        return None
    if _is_from_another_origin():
        return json_response({"error": "a page of another origin may not change state here"}, 403)
    key = services().settings.api_key
    if key is None:
        return None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = key.get_secret_value().encode()
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), wanted):
        return None
    response = json_response(
        {"error": "this changes state: expected the header Authorization: Bearer <the API key>"},
        401,
    )
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _is_from_another_origin() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # The browser has compared the origins itself, also where a proxy changed our Host.
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != request.host
    except ValueError:
        return True
