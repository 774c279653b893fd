"""Liveness and readiness checks."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flask import Blueprint

from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.registry.follower import Missing, Problem, find_problem
from streetlight.service.store.schema import SchemaError
from streetlight.service.store.timestamp import Timestamp
from streetlight.service.validation.fields import OMIT_IF_EMPTY
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import public
from streetlight.service.web.middleware.instrumentation import quiet
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("health", __name__)


@dataclass(frozen=True)
class Alive:
    """The process serves requests."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True)
class Ready:
    """The number of the live version, which answers predictions.

    `missing` has `database` while the database can't be used; with SQLite, while the worker has not
    reached it since its start. It has `follower` while no process of this host learns of
    promotions, so that another version may be live. Predictions need neither. `since` is the time
    at which this host last learnt of promotions. Empty fields are omitted.
    """

    status: Literal["ok"]
    version: int
    missing: Annotated[list[Missing], OMIT_IF_EMPTY]
    since: Annotated[Timestamp | None, OMIT_IF_EMPTY] = None


@blueprint.get("/livez")
@public
@quiet
@operation(example={"status": "ok"})
def livez() -> Alive:
    """Return 200 while the process serves requests; reads neither the database nor a model."""
    return Alive()


@blueprint.get("/readyz")
@public
@quiet
@operation(example={"status": "ok", "version": 1}, raises=[NoLiveVersionError, SchemaError])
def readyz() -> Ready:
    """Return the number of the live version; 503 if no version is live or it can't be loaded.

    Also 503 if the tables of the database are those of a newer release, or incomplete.
    """
    services().ledger_ready.check()
    problem = find_problem(services().settings.data_dir) if services().shared else None
    if services().shared and not services().ledger_ready.is_set():
        problem = problem or Problem("database", None)  # the follower waits a moment
    try:
        version = live_version(services().repository).number
    except NoLiveVersionError as error:
        if problem is None or services().repository.live_number() is not None:
            raise
        raise NoLiveVersionError(f"no version is live on this host: {problem}") from error
    missing: set[Missing] = set() if services().ledger_ready.is_set() else {"database"}
    if problem is None:
        return Ready("ok", version, sorted(missing))
    return Ready("ok", version, sorted(missing | {problem.missing}), problem.since)
