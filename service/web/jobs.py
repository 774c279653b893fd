"""Jobs: ask for a retraining, follow it, cancel it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Blueprint, Response, g, request
from pydantic import Field
from pydantic_core import to_json
from sqlalchemy import Engine

from model.network import Activation
from model.recipe import Recipe
from service import jobs
from service.jobs import Job, Order, Promote
from service.retraining import DEFAULT_RECIPE
from service.settings import MustHolds
from service.stopping import stopping
from service.validation import Problem
from service.web.exchange import (
    RequestError,
    Schema,
    answer,
    parse_body,
    parse_query,
    replayed,
    services,
)

blueprint = Blueprint("jobs", __name__)

# Each follower takes a thread, and predictions need some too.
MOST_FOLLOWERS = 6
POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 10.0

_followers = threading.BoundedSemaphore(MOST_FOLLOWERS)


class RetrainBody(Schema):
    """The recipe's fields that are to be other than usual; bounds are the recipe's own."""

    hidden_sizes: Annotated[tuple[int, ...], Field(max_length=8)] = DEFAULT_RECIPE.hidden_sizes
    alpha: float = DEFAULT_RECIPE.alpha
    iterations: int = DEFAULT_RECIPE.iterations
    batch_size: int | None = DEFAULT_RECIPE.batch_size
    seed: int = DEFAULT_RECIPE.seed
    restarts: int = DEFAULT_RECIPE.restarts
    target_error: float | None = DEFAULT_RECIPE.target_error
    patience: int | None = DEFAULT_RECIPE.patience
    weight_decay: float = DEFAULT_RECIPE.weight_decay
    activation: Activation = DEFAULT_RECIPE.activation
    promote: Promote = "if_better"
    must_hold: MustHolds = ()


@blueprint.post("/retrain")
def retrain() -> Response:
    """Queue a retraining on the ledger as it will be when its turn comes."""
    body = parse_body(RetrainBody)
    order = Order(_recipe(body), body.promote, body.must_hold)
    job = jobs.submit(services().engine, order, g.request_id, replay=replayed("retrain"))
    response = answer(_shown(job), 202)
    response.headers["Location"] = f"/jobs/{job.id}"
    return response


def _recipe(body: RetrainBody) -> Recipe:
    try:
        return Recipe(**{field.name: getattr(body, field.name) for field in fields(Recipe)})
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        raise RequestError([Problem(field, message)]) from None


class JobsQuery(Schema):
    """Which jobs to list: those below id `before`."""

    before: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@blueprint.get("/jobs")
def list_jobs() -> Response:
    """List jobs, newest first."""
    query = parse_query(JobsQuery)
    page = jobs.page(services().engine, query.before, query.limit)
    more = page[-1].id if len(page) == query.limit else None
    # Without their curves: those are many numbers, and each job has its own address.
    listed = [
        replace(job, progress=job.progress and replace(job.progress, curve=[])) for job in page
    ]
    return answer({"jobs": [_shown(job) for job in listed], "next": more})


@blueprint.get("/jobs/<int:number>")
def show(number: int) -> Response:
    """Show a job: its state, its progress, and what came of it."""
    return answer(_shown(jobs.get(services().engine, number)))


@blueprint.delete("/jobs/<int:number>")
def cancel(number: int) -> Response:
    """Cancel a job that isn't over."""
    return answer(_shown(jobs.cancel(services().engine, number)))


@blueprint.get("/jobs/<int:number>/events")
def follow(number: int) -> Response:
    """Follow a job as server-sent events: itself, whenever it changes, until it is over."""
    engine = services().engine
    jobs.get(engine, number)
    seen = request.headers.get("Last-Event-ID", "")
    if not _followers.acquire(blocking=False):
        message = (
            f"{MOST_FOLLOWERS} others follow jobs here already; ask GET /jobs/{number} instead"
        )
        response = answer({"error": message}, 503)
        response.headers["Retry-After"] = "5"
        return response
    events = _events(engine, number, int(seen) if seen.isdecimal() else -1)
    response = Response(events, mimetype="text/event-stream")
    response.call_on_close(_followers.release)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(engine: Engine, number: int, seen: int) -> Iterator[bytes]:
    told = time.monotonic()
    yield b": following\n\n"
    while True:
        job = jobs.get(engine, number)
        if job.revision > seen:
            seen, told = job.revision, time.monotonic()
            yield b"id: %d\nevent: job\ndata: %s\n\n" % (seen, to_json(_shown(job)))
        elif time.monotonic() - told > HEARTBEAT_SECONDS:
            told = time.monotonic()
            yield b": still here\n\n"
        if job.finished:
            yield b"event: end\ndata: {}\n\n"
            return
        if stopping.wait(POLL_SECONDS):
            return


def _shown(job: Job) -> dict[str, Any]:
    shown = asdict(job)
    order = shown.pop("order")
    for name in ("submitted_at", "started_at", "finished_at"):
        if shown[name] is not None:
            at = datetime.fromtimestamp(shown[name], UTC)
            shown[name] = at.isoformat(timespec="milliseconds")
    return shown | {
        "recipe": order["recipe"],
        "promote": order["promote"],
        "must_hold": order["must_hold"],
    }
