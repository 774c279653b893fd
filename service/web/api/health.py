"""Liveness and readiness checks."""

import operator
from dataclasses import dataclass
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.store.schema import SchemaError
from streetlight.service.web.application import services
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("health", __name__)


@dataclass(frozen=True)
class Alive:
    """The process serves requests."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True)
class Ready:
    """The number of the live version, which answers predictions.

    `missing` is `["database"]` while the worker has not reached the database since its start.
    Predictions don't need it. An empty list is omitted.
    """

    status: Literal["ok"]
    version: int
    missing: Annotated[list[Literal["database"]], Field(exclude_if=operator.not_)]


@blueprint.get("/livez")
@operation(example={"status": "ok"}, uses_storage=False)
def livez() -> Alive:
    """Return 200 while the process serves requests; reads neither the database nor a model."""
    return Alive()


@blueprint.get("/readyz")
@operation(example={"status": "ok", "version": 1}, raises=[NoLiveVersionError, SchemaError])
def readyz() -> Ready:
    """Return the number of the live version; 503 if no version is live or it can't be loaded.

    Also 503 if the tables of the database are those of a newer release, or incomplete.
    """
    version = live_version(services().repository).number
    services().ledger_ready.check()
    return Ready("ok", version, [] if services().ledger_ready.is_set() else ["database"])
