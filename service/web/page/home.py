"""The page: a stage, on which a network learns, and the state of the service.

Its address also answers programs, in JSON.
"""

from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path

from flask import Blueprint, Response, abort, request, send_file

from streetlight.service.web.application import services
from streetlight.service.web.compression import compress
from streetlight.service.web.middleware.auth import public
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.page.docs import POLICY
from streetlight.service.web.response import json_response

blueprint = Blueprint("home", __name__)

_page = Path(__file__).with_name("static") / "home"

# The level at which the page's files have 8% fewer bytes than at the fastest, for 0.1 ms a file.
FILE_LEVEL = 6

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
    if accepted.best_match(("application/json", "text/html")) == "text/html":
        response = _send("index.html")
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
    return _send(name)


def _send(name: str) -> Response:
    response = send_file(_page / name, conditional=False)
    response.direct_passthrough = False
    # The tag is the same for the compressed bytes and the file's own, so there are no ranges.
    response.set_etag(str(response.get_etag()[0]), weak=True)
    compress(response, FILE_LEVEL)
    response.make_conditional(request)
    return response
