"""Container routes: those that SageMaker, MLflow and Vertex AI call.

These are `/ping` and `/invocations`, and the paths in the settings `health_route` and
`predict_route`.
"""

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.config import Settings
from streetlight.service.inference.codecs import rows
from streetlight.service.inference.resolution import live_version
from streetlight.service.validation.problems import FieldError, Problem, preview
from streetlight.service.web.api import health
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.middleware.instrumentation import inference_view
from streetlight.service.web.protocols.served_model import score_and_record
from streetlight.service.web.request import parse_json, read_body
from streetlight.service.web.response import json_response

blueprint = Blueprint("invocations", __name__)

PARSERS = {
    "instances": rows.from_rows,
    "inputs": rows.from_columns,
    "dataframe_records": rows.from_records,
    "dataframe_split": rows.from_table,
}
# `curl -d` sends every body as a form.
JSON = ("", "application/json", "application/x-www-form-urlencoded")


def init_app(app: Flask, settings: Settings) -> None:
    """Register the routes in `app`, also at the paths in the settings."""
    app.register_blueprint(blueprint)
    if settings.health_route:
        app.add_url_rule(settings.health_route, "health_route", health.readyz)
    if settings.predict_route:
        app.add_url_rule(settings.predict_route, "predict_route", invoke, methods=["POST"])


@blueprint.get("/ping")
def ping() -> Response:
    """Return the number of the live version; 503 if no version is live or it can't be loaded."""
    return health.readyz()


@blueprint.post("/invocations")
@read_only
@inference_view
def invoke() -> Response:
    """Return the scores of rows, sent as JSON or CSV; as CSV, if the client prefers it."""
    version = live_version(services().repository)
    if request.mimetype == "text/csv":
        lights = rows.from_csv(version, read_body())
    elif request.mimetype in JSON:
        lights = _lights_from_json(version)
    else:
        raise UnsupportedMediaType(
            f"Content-Type: expected application/json or text/csv, got {request.mimetype[:40]!r}"
        )
    scores = score_and_record(version, lights, "rows")
    if request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv":
        return Response("".join(f"{score!r}\n" for score in scores.tolist()), mimetype="text/csv")
    return json_response({"predictions": scores[:, None].tolist()})


def _lights_from_json(version: Version) -> FloatArray:
    body = parse_json()
    if isinstance(body, list):
        return rows.from_rows(version, body, "")
    fields = [field for field in PARSERS if isinstance(body, dict) and field in body]
    if len(fields) != 1:
        message = f"expected a list of rows, or an object with one of {', '.join(PARSERS)}"
        raise FieldError(Problem("", f"{message}; got {preview(body)}"))
    return PARSERS[fields[0]](version, body[fields[0]], fields[0])
