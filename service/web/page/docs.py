"""The API documentation page: Swagger UI for `/openapi.json`, without files from other hosts."""

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, abort

from streetlight.service.web.middleware.auth import public
from streetlight.service.web.static_content import send_static_file

blueprint = Blueprint("docs", __name__)

_swagger = Path(str(files("flask_swagger_ui"))) / "dist"
_page = Path(__file__).with_name("static") / "docs"

FILES = {
    "swagger-ui.css": _swagger,
    "swagger-ui-bundle.js": _swagger,
    "favicon-32x32.png": _swagger,
    "start.js": _page,
}

# `data:` is for Swagger UI, whose style sheet contains its icons as data URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/docs")
@public
def docs() -> Response:
    """Return the API documentation page, which can also send requests."""
    response = send_static_file(_page / "docs.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/docs/<name>")
@public
def static_file(name: str) -> Response:
    """Return a static file of the API documentation page."""
    if name not in FILES:
        abort(404)
    return send_static_file(FILES[name] / name)
