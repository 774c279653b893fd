"""Docs: the page that shows `/openapi.json`, by Swagger UI; every file of it comes from here."""

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, abort, send_file

blueprint = Blueprint("docs", __name__)

_swagger = Path(str(files("flask_swagger_ui"))) / "dist"
_page = Path(__file__).with_name("static") / "docs"

FILES = {
    "swagger-ui.css": _swagger,
    "swagger-ui-bundle.js": _swagger,
    "favicon-32x32.png": _swagger,
    "start.js": _page,
}

# Swagger UI has its icons in its style sheet, as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/docs")
def docs() -> Response:
    """Show what this API can do, and let it be tried."""
    response = send_file(_page / "docs.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/docs/<name>")
def file(name: str) -> Response:
    """Send a file of the page."""
    if name not in FILES:
        abort(404)
    return send_file(FILES[name] / name)
