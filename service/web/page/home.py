"""Home: the page on which the network is seen to learn, and the files that it is made of."""

from pathlib import Path

from flask import Blueprint, Response, abort, send_file

from streetlight.service.web.page.docs import POLICY

blueprint = Blueprint("home", __name__)

_page = Path(__file__).with_name("static") / "home"

FILES = {file.name for file in _page.iterdir()} - {"index.html"}


@blueprint.get("/")
def home() -> Response:
    """Show the corner, the network, the ledger and the versions."""
    response = send_file(_page / "index.html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@blueprint.get("/page/<name>")
def file(name: str) -> Response:
    """Send a file of the page."""
    if name not in FILES:
        abort(404)
    return send_file(_page / name)
