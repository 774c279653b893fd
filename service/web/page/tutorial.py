"""The tutorial as HTML pages, which `python -m tests.tutorial` makes from docs/tutorial*.md."""

from pathlib import Path

from flask import Blueprint, Response, abort

from streetlight.service.web.middleware.auth import public
from streetlight.service.web.page.docs import POLICY
from streetlight.service.web.static_content import send_static_file

blueprint = Blueprint("tutorial", __name__)

_folder = Path(__file__).with_name("static") / "tutorial"

# A picture has its styles in itself, and nothing else to load or to run.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

# A page has the address of its file, without `.html`.
FILES = {file.name.removesuffix(".html"): file for file in _folder.iterdir()}


@blueprint.get("/tutorial", defaults={"name": "index"})
@blueprint.get("/tutorial/<name>")
@public
def tutorial(name: str) -> Response:
    """Return a page of the tutorial, or one of its files."""
    if name not in FILES:
        abort(404)
    response = send_static_file(FILES[name])
    policy = PICTURE_POLICY if name.endswith(".svg") else POLICY
    response.headers["Content-Security-Policy"] = policy
    return response
