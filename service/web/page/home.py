"""The page: a stage, on which a network learns, and the state of the service."""

from pathlib import Path

from flask import Blueprint, Response, abort, request, send_file

from streetlight.service.web.compression import compress
from streetlight.service.web.middleware.auth import public
from streetlight.service.web.page.docs import POLICY

blueprint = Blueprint("home", __name__)

_page = Path(__file__).with_name("static") / "home"

# The level at which the page's files have 8% fewer bytes than at the fastest, for 0.1 ms a file.
FILE_LEVEL = 6

FILES = {str(file.relative_to(_page)) for file in _page.rglob("*.*")} - {"index.html"}


@blueprint.get("/")
@public
def home() -> Response:
    """Return the demonstration page."""
    response = _send("index.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/page/<path:name>")
@public
def static_file(name: str) -> Response:
    """Return a static file of the demonstration page."""
    if name not in FILES:
        abort(404)
    return _send(name)


def _send(name: str) -> Response:
    response = send_file(_page / name, conditional=False)
    response.direct_passthrough = False
    # The tag is the same for the compressed bytes and the file's own, so there are no ranges.
    response.set_etag(str(response.get_etag()[0]), weak=True)
    compress(response, FILE_LEVEL)
    response.make_conditional(request)
    return response
