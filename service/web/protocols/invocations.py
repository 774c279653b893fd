"""Container routes: those that SageMaker, MLflow and Vertex AI call.

These are `/ping` and `/invocations`, MLflow's `/health` and `/version`, and the paths in the
settings `health_route` and `predict_route`. The route of SageMaker's client is in `sagemaker`.
"""

from importlib.metadata import version

from flask import Blueprint, Flask, Response

from streetlight.service.config.settings import Settings
from streetlight.service.inference.codecs import invocations
from streetlight.service.web.api import health
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import public, requires

blueprint = Blueprint("invocations", __name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Register the routes in `app`, also at the paths in the settings."""
    app.register_blueprint(blueprint)
    if settings.health_route:
        app.add_url_rule(settings.health_route, "health_route", health.readyz)
    if settings.predict_route:
        app.add_url_rule(settings.predict_route, "predict_route", invoke, methods=["POST"])


@blueprint.get("/health")
@blueprint.get("/ping")
@public
def ping() -> Response:
    """Return the number of the live version; 503 if no version is live or it can't be loaded."""
    return health.readyz()


@blueprint.get("/version")
@public
def server_version() -> Response:
    """Return the version of the package as text; an MLflow server returns that of MLflow."""
    return Response(version("streetlight"), mimetype="text/plain")


@blueprint.post("/invocations")
@requires("predict")
def invoke() -> Response:
    """Return the scores of rows, sent as JSON or CSV; as CSV, if the client prefers it."""
    return respond(invocations.INVOKE)
