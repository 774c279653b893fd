"""The page: a stage, on which a network learns, and the state of the service.

Its address also answers programs, in JSON.
"""

from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path

from flask import Blueprint, Response, abort, request

from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import public
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.page.docs import POLICY
from streetlight.service.web.response import json_response
from streetlight.service.web.static_content import send_static_file

blueprint = Blueprint("home", __name__)

_page = Path(__file__).with_name("static") / "home"

FILES = {str(file.relative_to(_page)) for file in _page.rglob("*.*")} - {"index.html"}


@dataclass(frozen=True)
class Service:
    """The service in short; `live_version` is null if no version is live.

    The last three are references relative to the address of this response, which may have a prefix.
    """

    status: str
    name: str
    version: str
    live_version: int | None
    example: str = "predict?lights=1,0,1"
    docs: str = "docs"
    openapi: str = "openapi.json"


@blueprint.get("/")
@public
@operation(responses={200: ResponseSpec(Service, media_types=["text/html"])})
def home() -> Response:
    """Return the demonstration page to a browser, and JSON to a client that asks for no HTML."""
    accepted = request.accept_mimetypes
    # `*/*` asks for no HTML, also where it is preferred to JSON.
    names_html = any(media_type.lower() in ("text/html", "text/*") for media_type, _ in accepted)
    if names_html and accepted.best_match(("application/json", "text/html")) == "text/html":
        response = send_static_file(_page / "index.html")
        response.headers["Content-Security-Policy"] = POLICY
    else:
        # KServe's V1 client takes the server for live if the status is this word.
        live = services().repository.live_number()
        response = json_response(
            Service("alive", "streetlight", package_version("streetlight"), live)
        )
    response.vary.add("Accept")
    return response


@blueprint.get("/page/<path:name>")
@public
def static_file(name: str) -> Response:
    """Return a static file of the demonstration page."""
    if name not in FILES:
        abort(404)
    return send_static_file(_page / name)
