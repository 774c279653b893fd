"""What the platforms that run containers ask: SageMaker, MLflow, Vertex AI.

`/ping` and `/invocations`; and, where Vertex AI says so in the environment, its two routes.
"""

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.config import Settings
from streetlight.service.inference.resolution import live_version
from streetlight.service.validation.problems import FieldError, Problem, preview
from streetlight.service.web.api import health
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.middleware.instrumentation import inference_view
from streetlight.service.web.protocols import rows
from streetlight.service.web.protocols.model_names import score_and_count
from streetlight.service.web.request import parse_json, read_bytes
from streetlight.service.web.response import json_response

blueprint = Blueprint("invocations", __name__)

FORMS = {
    "instances": rows.from_rows,
    "inputs": rows.from_columns,
    "dataframe_records": rows.from_records,
    "dataframe_split": rows.from_table,
}
# curl calls everything a form.
JSON = ("", "application/json", "application/x-www-form-urlencoded")


def init_app(app: Flask, settings: Settings) -> None:
    """Let `app` answer these, and wherever else the settings say."""
    app.register_blueprint(blueprint)
    if settings.health_route:
        app.add_url_rule(settings.health_route, "health_route", health.readyz)
    if settings.predict_route:
        app.add_url_rule(settings.predict_route, "predict_route", invoke, methods=["POST"])


@blueprint.get("/ping")
def ping() -> Response:
    """Say which version is live and loaded; 503 where none is."""
    return health.readyz()


@blueprint.post("/invocations")
@read_only
@inference_view
def invoke() -> Response:
    """Score rows: JSON in any of the forms, or CSV; as CSV, if that is what is accepted."""
    version = live_version(services().repository)
    if request.mimetype == "text/csv":
        lights = rows.from_csv(version, read_bytes())
    elif request.mimetype in JSON:
        lights = _from_json(version)
    else:
        raise UnsupportedMediaType(
            f"Content-Type: expected application/json or text/csv, got {request.mimetype[:40]!r}"
        )
    scores = score_and_count(version, lights, "rows")
    if request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv":
        return Response("".join(f"{score!r}\n" for score in scores.tolist()), mimetype="text/csv")
    return json_response({"predictions": scores[:, None].tolist()})


def _from_json(version: Version) -> FloatArray:
    body = parse_json()
    if isinstance(body, list):
        return rows.from_rows(version, body, "")
    given = [form for form in FORMS if isinstance(body, dict) and form in body]
    if len(given) != 1:
        message = f"expected a list of rows, or an object with one of {', '.join(FORMS)}"
        raise FieldError(Problem("", f"{message}; got {preview(body)}"))
    return FORMS[given[0]](version, body[given[0]], given[0])
