"""Health: `/livez`, the process answers; `/readyz`, it can answer predictions."""

from dataclasses import dataclass
from typing import Literal

from flask import Blueprint

from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.web.application import services
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("health", __name__)


@dataclass(frozen=True)
class Alive:
    """The process answers."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True)
class Ready:
    """It answers, and by which version."""

    status: Literal["ok"]
    version: int


@blueprint.get("/livez")
@operation(example={"status": "ok"}, uses_storage=False)
def livez() -> Alive:
    """Say that the process answers."""
    return Alive()


@blueprint.get("/readyz")
@operation(example={"status": "ok", "version": 1}, raises=[NoLiveVersionError])
def readyz() -> Ready:
    """Say which version is live and loaded; 503 where none is."""
    return Ready("ok", live_version(services().repository).number)
