"""The demonstration page: set lights, see the network decide, and retrain it."""

from pathlib import Path

from flask import Blueprint, Response, abort, send_file

from streetlight.service.web.page.docs import POLICY

blueprint = Blueprint("home", __name__)

_page = Path(__file__).with_name("static") / "home"

FILES = {str(file.relative_to(_page)) for file in _page.rglob("*.*")} - {"index.html"}


@blueprint.get("/")
def home() -> Response:
    """Return the demonstration page."""
    response = send_file(_page / "index.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/page/<path:name>")
def static_file(name: str) -> Response:
    """Return a static file of the demonstration page."""
    if name not in FILES:
        abort(404)
    return send_file(_page / name)
