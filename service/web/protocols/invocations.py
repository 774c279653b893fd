"""Container routes: those that SageMaker, MLflow and Vertex AI call.

These are `/ping` and `/invocations`, MLflow's `/health` and `/version`, and the paths in the
settings `health_route` and `predict_route`. The route of SageMaker's client is in `sagemaker`.
"""

from importlib.metadata import version

from flask import Blueprint, Flask, Response
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.inference.codecs import invocations
from streetlight.service.inference.messages import UnsupportedMediaTypeError
from streetlight.service.inference.resolution import NoLiveVersionError
from streetlight.service.store.schema import SchemaError
from streetlight.service.web.api import health
from streetlight.service.web.api.health import Ready
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import public, requires
from streetlight.service.web.middleware.instrumentation import quiet
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.protocols.v1 import BOUNDED
from streetlight.service.web.protocols.v1_schemas import Lights, V1PredictBody, V1Predictions

blueprint = Blueprint("invocations", __name__)


class DataframeSplit(BaseModel):
    """A table of light states, with a column for each light."""

    columns: list[str]
    data: list[Lights]


class InvocationBody(V1PredictBody):
    """Light states in one of the fields; `dataframe_…` are a table as pandas writes it."""

    dataframe_split: DataframeSplit | None = None
    dataframe_records: list[dict[str, float]] | None = None


# The declaration of a view of invocations; a body may also be a list of rows.
INVOCATION = operation(
    body=InvocationBody,
    body_media_types=["text/csv"],
    responses={200: ResponseSpec(V1Predictions, media_types=["text/csv"])},
    raises=[*BOUNDED, UnsupportedMediaTypeError],
)


def add_routes_of_settings(app: Flask, settings: Settings) -> None:
    """Add the paths in the settings to `app`, which has all other routes.

    Raises:
        SettingsError: the path is that of a route that answers otherwise.
    """
    for name, method, view, equal in (
        ("health_route", "GET", health.readyz, {"health.readyz", "invocations.ping"}),
        ("predict_route", "POST", invoke, {"invocations.invoke"}),
    ):
        path: str | None = getattr(settings, name)
        if path is None:
            continue
        try:
            endpoint, _ = app.url_map.bind("").match(path, method)
        except HTTPException:  # no route, or one for other methods
            app.add_url_rule(path, name, view, methods=[method])
            continue
        if endpoint not in equal:
            raise SettingsError(
                f"{PREFIX}{name.upper()}: {path} is another route of the service; choose a path "
                "that is no route"
            )


@blueprint.get("/health")
@blueprint.get("/ping")
@public
@quiet
@operation(responses={200: ResponseSpec(Ready)}, raises=[NoLiveVersionError, SchemaError])
def ping() -> Response:
    """Return the number of the live version; 503 if no version is live or it can't be loaded."""
    return health.readyz()


@blueprint.get("/version")
@public
@operation(responses={200: ResponseSpec(media_types=["text/plain"])})
def server_version() -> Response:
    """Return the version of the package as text; an MLflow server returns that of MLflow."""
    return Response(version("streetlight"), mimetype="text/plain")


@blueprint.post("/invocations")
@requires("predict")
@INVOCATION
def invoke() -> Response:
    """Return the scores of rows, sent as JSON or CSV; as CSV, if the client prefers it."""
    return respond(invocations.INVOKE)
