"""The route of SageMaker's runtime client, such as boto3's with an endpoint URL.

A container in SageMaker answers `/invocations` instead, in the same formats.
"""

from flask import Blueprint, Response, g, request

from streetlight.service.inference.codecs import invocations
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.protocols.invocations import INVOCATION
from streetlight.service.web.response import dump_json

blueprint = Blueprint("sagemaker", __name__)

# The error names of the AWS SDKs; the client raises ValidationError for any other status.
ERROR_NAMES = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    500: "InternalFailure",
    503: "ServiceUnavailable",
}


@blueprint.post("/endpoints/<model>/invocations")
@requires("predict")
@INVOCATION
def invoke_endpoint(model: str) -> Response:
    """Return what `/invocations` returns; the target variant is the number of a version."""
    variant = request.headers.get("X-Amzn-SageMaker-Target-Variant")
    response = respond(invocations.INVOKE, model, variant)
    response.headers["X-Amzn-Invoked-Production-Variant"] = str(g.version)
    return response


@blueprint.after_app_request
def name_error(response: Response) -> Response:
    """Add the name and the message of an error where the AWS SDKs look for them.

    Also for the client's routes that don't exist here.
    """
    is_error = response.status_code >= 400 and response.is_json
    if is_error and request.path.startswith("/endpoints/"):
        body = response.get_json()
        response.data = dump_json({"message": body["error"], **body}) + b"\n"
        name = ERROR_NAMES.get(response.status_code, "ValidationError")
        response.headers["X-Amzn-ErrorType"] = name
    return response
