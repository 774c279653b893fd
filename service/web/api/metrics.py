"""Metrics in the Prometheus format, summed over all workers."""

from flask import Blueprint, Response, request

from streetlight.service.learning.state_collector import StateCollector
from streetlight.service.observability import metrics
from streetlight.service.web.application import services
from streetlight.service.web.compression import compress
from streetlight.service.web.middleware.instrumentation import quiet
from streetlight.service.web.openapi.operation import ResponseSpec, operation

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@quiet
@operation(responses={200: ResponseSpec(media_types=["text/plain"])})
def show() -> Response:
    """Return the workers' counters, and gauges read from the database and the repository.

    A client that prefers `application/openmetrics-text` gets that format.
    """
    state = StateCollector(services())
    text, content_type = metrics.exposition(request.headers.get("Accept", ""), state)
    return compress(Response(text, content_type=content_type))
