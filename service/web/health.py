"""Health: `/livez`, the process answers; `/readyz`, it can answer predictions."""

from flask import Blueprint, Response

from service.predictions import live_version
from service.web.exchange import answer, services

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez() -> Response:
    """Say that the process answers."""
    return answer({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say which version is live and loaded; 503 where none is."""
    return answer({"status": "ok", "version": live_version(services().repository).number})
