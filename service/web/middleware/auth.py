"""Authorization: the right that each request requires, and the pages that may change state.

A view is marked with the right that its requests require, or as public. Without a mark, GET
requires the right `read`, and every other method `admin`. If there are API keys, a request that
changes state must send one, and so must every request to a view that is marked with `private`; with
`guard=all`, so must every request that requires a right. A browser may send a request that changes
state only from a page of the same origin, and with a key from one that `cors` allows. Without a
key, the page must have an address to which no other site can direct its own name:
docs/decisions/0026.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from streetlight.service.config.keys import Right
from streetlight.service.validation.problems import preview
from streetlight.service.web.application import services
from streetlight.service.web.middleware.cors import allows
from streetlight.service.web.response import json_response

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

CHALLENGE = 'Bearer realm="Streetlight"'

ViewT = TypeVar("ViewT", bound=Callable[..., Response])


def requires(right: Right) -> Callable[[ViewT], ViewT]:
    """Mark a view with the right that its requests require."""

    def mark(view: ViewT) -> ViewT:
        vars(view)["right"] = right
        return view

    return mark


def public(view: ViewT) -> ViewT:
    """Mark a view that requires no right: probes call it, or it has nothing of this service."""
    vars(view)["right"] = None
    return view


def private(view: ViewT) -> ViewT:
    """Mark a view that shows what clients have sent: requests that only read need the key, too."""
    vars(view)["private"] = True
    return view


def required_right(method: str, view: object) -> Right | None:
    """Return the right that a request of `method` to `view` requires; `None` for a public view."""
    right: Right | None = getattr(view, "right", "read" if method in SAFE else "admin")
    return None if method == "OPTIONS" else right


def changes_state(method: str, view: object) -> bool:
    """Return whether a request of `method` to `view` counts as changing state."""
    return method not in SAFE and required_right(method, view) not in (None, "read", "predict")


def needs_key(method: str, view: object) -> bool:
    """Return whether a request of `method` to `view` must send an API key, if there is one."""
    if required_right(method, view) is None:
        return False
    guards_all = services().keys.guards_all
    return guards_all or changes_state(method, view) or hasattr(view, "private")


def init_app(app: Flask) -> None:
    """Authorize the requests of `app`."""
    app.before_request(_authorize)


def _authorize() -> Response | None:
    """Return the response to a request that isn't authorized, `None` for all others."""
    endpoint = request.endpoint
    if endpoint is None:
        return None
    view = current_app.view_functions[endpoint]
    right = required_right(request.method, view)
    if right is None or not needs_key(request.method, view):
        return None
    if changes_state(request.method, view) and (refusal := _refuse_page()):
        return json_response({"error": refusal}, 403)
    return refuse_key(right)


def refuse_key(right: Right) -> Response | None:
    """Return the response to a request whose key lacks `right`, or that has no valid key.

    A view calls this if a request requires more than its route. `None` also if there are no keys.
    """
    if not services().keys.required:
        return None
    sent = bearer_key(request.headers.get("Authorization", "").encode("latin-1"))
    key = services().keys.find(sent)
    if key is None:
        got = "an unknown key" if sent else "no key"
        message = (
            f"this request requires an API key with the right {right}: expected the header "
            f"Authorization: Bearer <the API key>, got {got}"
        )
        return _challenge(message, 401, 'error="invalid_token"' if sent else "")
    g.key = key.name
    if not key.has(right):
        rights = ", ".join(sorted(key.rights))
        message = (
            f"this request requires the right {right}, and the API key {key.name} has {rights}"
        )
        return _challenge(message, 403, f'error="insufficient_scope", scope="{right}"')
    return None


def bearer_key(authorization: bytes) -> bytes:
    """Return the key in the value of the header `Authorization`; empty if it has none."""
    scheme, _, key = authorization.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def _challenge(message: str, status: int, error: str) -> Response:
    """Return an error with the header of RFC 6750, section 3."""
    response = json_response({"error": message}, status)
    response.headers["WWW-Authenticate"] = ", ".join(filter(None, [CHALLENGE, error]))
    return response


def _refuse_page() -> str | None:
    """Return why the page that sent the request may not change state; `None` for other requests."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None:
        return None  # every browser sends one of them with a request that changes state
    # If the browser has compared the origins, this holds even if a proxy changes the Host header.
    if site != "same-origin" and (site not in (None, "none") or not _is_own_origin(origin)):
        if services().keys.required and allows(services().settings.cors_origins, origin):
            return None
        return (
            "requests that change state are accepted from pages of the same origin only, and with "
            "an API key from those of STREETLIGHT_CORS_ORIGINS"
        )
    hosts = [request.host]
    # A page under a foreign name can send X-Forwarded-Host to this server itself, but not Origin.
    if origin and services().settings.trusted_proxies and "X-Forwarded-Host" in request.headers:
        hosts.append(origin.rpartition("/")[2])
    foreign = [host for host in hosts if not _is_own_host(host)]
    if foreign and not services().keys.required:
        return (
            "without an API key, a page can change state under an IP address, localhost or a host "
            f"of STREETLIGHT_ALLOWED_HOSTS, got {preview(foreign[0])}; if this name belongs to "
            "the server, add it to STREETLIGHT_ALLOWED_HOSTS, or set STREETLIGHT_API_KEY"
        )
    return None


def _is_own_origin(origin: str | None) -> bool:
    try:
        return origin is None or urlsplit(origin).netloc == request.host
    except ValueError:
        return False


def _is_own_host(host: str) -> bool:
    """Return whether the host can't be the name of another site.

    Anyone can let a name of their own resolve to this server, and so give their page the origin of
    this server; an IP address and localhost can't be given to another server.
    """
    settings = services().settings
    host = re.sub(r":[0-9]+$", "", host.lower()).strip("[]")
    try:
        ip_address(host)
    except ValueError:
        host = host.removesuffix(".")
        names = ("localhost", settings.host.lower(), *settings.allowed_hosts)
        return host.endswith(".localhost") or host in names
    return True
