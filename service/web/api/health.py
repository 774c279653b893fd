"""Liveness and readiness checks."""

from dataclasses import dataclass
from typing import Literal

from flask import Blueprint

from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.web.application import services
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("health", __name__)


@dataclass(frozen=True)
class Alive:
    """The process serves requests."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True)
class Ready:
    """The number of the live version, which answers predictions."""

    status: Literal["ok"]
    version: int


@blueprint.get("/livez")
@operation(example={"status": "ok"}, uses_storage=False)
def livez() -> Alive:
    """Return 200 while the process serves requests; reads neither the database nor a model."""
    return Alive()


@blueprint.get("/readyz")
@operation(example={"status": "ok", "version": 1}, raises=[NoLiveVersionError])
def readyz() -> Ready:
    """Return the number of the live version; 503 if no version is live or it can't be loaded."""
    return Ready("ok", live_version(services().repository).number)
