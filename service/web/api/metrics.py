"""Metrics for Prometheus, of all workers together."""

from flask import Blueprint, Response, request

from streetlight.service.learning.state_collector import StateCollector
from streetlight.service.observability import metrics
from streetlight.service.web.application import services

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def show() -> Response:
    """Show what was counted, and how things stand."""
    census = StateCollector(services().repository, services().engine)
    text, content_type = metrics.exposition(request.headers.get("Accept", ""), census)
    return Response(text, content_type=content_type)
