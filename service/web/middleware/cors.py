"""Responses to pages of other origins (CORS), which the setting `cors_origins` lists.

Such a page may read every response, and may change state with an API key, which `auth` checks. The
browser must not add credentials of its own, such as cookies.
"""

from collections.abc import Collection

from flask import Flask, Response, request

from streetlight.service.web.application import services

# What a page may send. The wildcard doesn't include Authorization.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Max-Age": "7200",  # seconds, the most that Chromium allows
}


def allows(origins: Collection[str], origin: str | None) -> bool:
    """Return whether a page of `origin` may read responses; `*` in `origins` stands for any."""
    return origin is not None and (origin in origins or "*" in origins)


def cors_headers(origins: Collection[str], origin: str | None) -> dict[str, str]:
    """Return the headers of a response to a request that has the header `Origin`."""
    if origin is None or not allows(origins, origin):
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*"}


def init_app(app: Flask) -> None:
    """Answer the preflight requests of `app`, and add headers to every response."""
    app.before_request(_answer_preflight)
    app.after_request(_add_headers)


def _answer_preflight() -> Response | None:
    """Return the response to a preflight request, which has no key, for any path."""
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return Response(status=204, headers=PREFLIGHT)
    return None


def _add_headers(response: Response) -> Response:
    origins, origin = services().settings.cors_origins, request.headers.get("Origin")
    response.headers.update(cors_headers(origins, origin))
    response.vary.add("Origin")
    return response
