"""Jobs: ask for a retraining, follow it, cancel it."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from flask import Blueprint, Response, g, request
from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from sqlalchemy import Engine

from streetlight.model.network import Activation
from streetlight.model.recipe import BOUNDS, Recipe
from streetlight.service.learning import queue as jobs
from streetlight.service.learning.job_runner import DEFAULT_RECIPE
from streetlight.service.learning.queue import (
    Job,
    JobFinishedError,
    JobNotFoundError,
    JobSpec,
    Promote,
)
from streetlight.service.ledger.idempotency import KeyReusedError
from streetlight.service.validation.fields import MustHolds, Whole
from streetlight.service.validation.problems import Problem
from streetlight.service.web.application import services
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.request import RequestError, Schema, idempotent_request
from streetlight.service.web.response import dump_json, json_response
from streetlight.service.web.shutdown import stopping

blueprint = Blueprint("jobs", __name__)

# Each follower takes a thread, and predictions need some too.
MAX_FOLLOWERS = 6
MAX_MESSAGE = 200
POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 10.0

_followers = threading.BoundedSemaphore(MAX_FOLLOWERS)


class RetrainBody(Schema):
    """The recipe's fields that are to be other than usual; bounds are the recipe's own."""

    hidden_sizes: Annotated[tuple[Whole, ...], Field(max_length=8)] = DEFAULT_RECIPE.hidden_sizes
    alpha: float = DEFAULT_RECIPE.alpha
    iterations: Whole = DEFAULT_RECIPE.iterations
    batch_size: Whole | None = DEFAULT_RECIPE.batch_size
    seed: Whole = DEFAULT_RECIPE.seed
    restarts: Whole = DEFAULT_RECIPE.restarts
    target_error: float | None = DEFAULT_RECIPE.target_error
    patience: Whole | None = DEFAULT_RECIPE.patience
    weight_decay: float = DEFAULT_RECIPE.weight_decay
    activation: Activation = DEFAULT_RECIPE.activation
    promote: Promote = "if_better"
    must_hold: MustHolds = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, describe: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the bounds too, which are not checked here."""
        described = describe.resolve_ref_schema(describe(schema))
        for name, (lowest, highest) in BOUNDS.items():
            field = described["properties"][name]
            field.get("items", field).update(minimum=lowest, maximum=highest)
        return described


OF_THE_JOB = {"number": "$response.body#/id"}


@blueprint.post("/retrain")
@operation(
    headers=["Idempotency-Key"],
    responses={
        202: ResponseSpec(
            Job,
            headers=["Location"],
            links={
                "jobs_show": OF_THE_JOB,
                "jobs_cancel": OF_THE_JOB,
                "jobs_follow": OF_THE_JOB,
            },
        )
    },
    raises=[KeyReusedError],
)
def retrain(body: RetrainBody) -> Response:
    """Queue a retraining on the ledger as it will be when its turn comes."""
    order = JobSpec(_recipe(body), body.promote, body.must_hold)
    job = jobs.submit(
        services().engine, order, g.request_id, idempotent=idempotent_request("retrain")
    )
    response = json_response(job, 202)
    response.headers["Location"] = f"/jobs/{job.id}"
    return response


def _recipe(body: RetrainBody) -> Recipe:
    try:
        return Recipe(**{field.name: getattr(body, field.name) for field in fields(Recipe)})
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        # It may quote a number of thousands of digits.
        raise RequestError([Problem(field, message[:MAX_MESSAGE])]) from None


class JobsQuery(Schema):
    """Which jobs to list: those below id `before`."""

    before: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@dataclass(frozen=True)
class JobPage:
    """Some jobs; the following page is that of those `before` the id `next`."""

    jobs: list[Job]
    next: int | None


@blueprint.get("/jobs")
@operation(links={"jobs_show": {"number": "$response.body#/jobs/0/id"}})
def list_jobs(query: JobsQuery) -> JobPage:
    """List jobs, newest first."""
    page = jobs.page(services().engine, query.before, query.limit)
    more = page[-1].id if len(page) == query.limit else None
    # Without their curves: those are many numbers, and each job has its own address.
    listed = [
        replace(job, progress=job.progress and replace(job.progress, curve=[])) for job in page
    ]
    return JobPage(listed, more)


@blueprint.get("/jobs/<int:number>")
@operation(raises=[JobNotFoundError])
def show(number: int) -> Job:
    """Show a job: its state, its progress, and what came of it."""
    return jobs.get(services().engine, number)


@blueprint.delete("/jobs/<int:number>")
@operation(raises=[JobNotFoundError, JobFinishedError], links={"jobs_show": OF_THE_JOB})
def cancel(number: int) -> Job:
    """Cancel a job that isn't over."""
    return jobs.cancel(services().engine, number)


@blueprint.get("/jobs/<int:number>/events")
@operation(
    headers=["Last-Event-ID"],
    responses={200: ResponseSpec(media_types=["text/event-stream"])},
    raises=[JobNotFoundError],
)
def follow(number: int) -> Response:
    """Follow a job as server-sent events: itself, whenever it changes, until it is over."""
    engine = services().engine
    jobs.get(engine, number)
    seen = request.headers.get("Last-Event-ID", "")
    if not _followers.acquire(blocking=False):
        message = f"{MAX_FOLLOWERS} others follow jobs here already; ask GET /jobs/{number} instead"
        response = json_response({"error": message}, 503)
        response.headers["Retry-After"] = "5"
        return response
    events = _events(engine, number, int(seen) if re.fullmatch("[0-9]{1,18}", seen) else -1)
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
            yield b"id: %d\nevent: job\ndata: %s\n\n" % (seen, dump_json(job))
        elif time.monotonic() - told > HEARTBEAT_SECONDS:
            told = time.monotonic()
            yield b": still here\n\n"
        if job.finished:
            yield b"event: end\ndata: {}\n\n"
            return
        if stopping.wait(POLL_SECONDS):
            return
