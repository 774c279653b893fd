"""Retraining jobs: queue, list, follow and cancel them."""

import re
from dataclasses import dataclass, replace
from typing import Annotated

from flask import Blueprint, Response, g, request
from pydantic import BeforeValidator

from streetlight.model.recipe import Recipe
from streetlight.service.learning import queue
from streetlight.service.learning.conclusion import follow_conclusions
from streetlight.service.learning.gate import Promote
from streetlight.service.learning.job import Job, JobSpec, current_name, default_promote
from streetlight.service.learning.queue import JobFinishedError, JobNotFoundError
from streetlight.service.learning.training_data import LEDGER, data_of
from streetlight.service.store.idempotency import KeyReusedError
from streetlight.service.validation.fields import (
    MAX_LIGHTS,
    AfterNewest,
    ExamAmount,
    Limit,
    MustHolds,
)
from streetlight.service.validation.problems import FieldError, Problem, RequestError
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE, RecipeFields
from streetlight.service.validation.request_schema import Schema
from streetlight.service.validation.rows_fields import RowsFields
from streetlight.service.web.application import services
from streetlight.service.web.event_stream import event_stream
from streetlight.service.web.middleware.admission import release
from streetlight.service.web.middleware.auth import refuse_key, requires
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.request import idempotent_request
from streetlight.service.web.response import json_response

blueprint = Blueprint("jobs", __name__)

MAX_MESSAGE = 200


class RetrainBody(RecipeFields, RowsFields):
    """The recipe, what to learn from, and when to promote the version; every field is optional.

    Without `rows` and `dataset`, the job learns from the ledger. The default of `promote` is then
    `not_worse`, with rows or a dataset it is `never`.
    """

    promote: Annotated[Promote | None, BeforeValidator(current_name)] = None
    must_hold: MustHolds = ()
    exam: ExamAmount | None = None


JOB_LINK = {"number": "$response.body#/id"}


@blueprint.post("/retrain")
@requires("train")
@operation(
    headers=["Idempotency-Key"],
    responses={
        202: ResponseSpec(
            Job,
            headers=["Location"],
            links={
                "jobs_show": JOB_LINK,
                "jobs_cancel": JOB_LINK,
                "jobs_follow": JOB_LINK,
            },
        )
    },
    raises=[KeyReusedError],
)
def retrain(body: RetrainBody) -> Response:
    """Queue a retraining on the ledger, on rows of the request, or on a dataset of the lab.

    The job reads the ledger when it starts, not when it is queued. If its version could go live
    without a comparison on the ledger, with `promote` of `always`, or with rows or a dataset and
    `promote` other than `never`, the API key needs the right `admin`.
    """
    rows, data = body.to_dataset(), LEDGER
    if rows is not None:
        if rows.light_count > MAX_LIGHTS:
            message = f"expected at most {MAX_LIGHTS} lights, got {rows.light_count}"
            raise FieldError(Problem("rows[0].lights", message))
        if body.exam:
            message = f"expected none with rows or a dataset, got {body.exam:g}: only a training "
            message += "on the ledger holds observations back"
            raise FieldError(Problem("exam", message, body.exam))
        data = data_of(rows, body.dataset)
    promote = body.promote or default_promote(data)
    is_judged = promote == "never" or (promote != "always" and data is LEDGER)
    if not is_judged and (refusal := refuse_key("admin")):
        return refusal
    spec = JobSpec(_recipe(body), promote, body.must_hold, body.exam, data)
    idempotent = idempotent_request("retrain")
    release()
    given = None if body.dataset else rows
    job = queue.submit(
        services().engine,
        spec,
        g.request_id,
        idempotent=idempotent,
        rows=given,
        key=g.get("key"),
    )
    response = json_response(job, 202)
    response.headers["Location"] = f"/jobs/{job.id}"
    return response


def _recipe(body: RetrainBody) -> Recipe:
    try:
        return body.recipe(DEFAULT_RECIPE)
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        # The message may quote a number of thousands of digits.
        raise RequestError([Problem(field, message[:MAX_MESSAGE])]) from None


class JobsQuery(Schema):
    """The page of jobs to list: at most `limit` jobs, fewer if they are large."""

    after: AfterNewest | None = None
    limit: Limit = 100


@dataclass(frozen=True)
class JobPage:
    """One page of jobs; request the next page with `after` set to `next`, null on the last."""

    jobs: list[Job]
    next: int | None


@blueprint.get("/jobs")
@operation(links={"jobs_show": {"number": "$response.body#/jobs/0/id"}})
def list_jobs(query: JobsQuery) -> JobPage:
    """List jobs, newest first, without their error curves."""
    page, next_id = queue.page(services().engine, query.after, query.limit)
    follow_conclusions(services().repository, page)
    # A curve may hold many points; GET /jobs/{number} returns it.
    without_curves = [
        replace(job, progress=job.progress and replace(job.progress, curve=[])) for job in page
    ]
    return JobPage(without_curves, next_id)


@blueprint.get("/jobs/<int:number>")
@operation(raises=[JobNotFoundError])
def show(number: int) -> Job:
    """Return a job: its recipe, state, progress and result."""
    job = queue.get(services().engine, number)
    follow_conclusions(services().repository, [job])
    return job


@blueprint.delete("/jobs/<int:number>")
@requires("train")
@operation(raises=[JobNotFoundError, JobFinishedError], links={"jobs_show": JOB_LINK})
def cancel(number: int) -> Job:
    """Cancel a queued job at once, or a running job at the trainer's next heartbeat."""
    return queue.cancel(services().engine, number)


@blueprint.get("/jobs/<int:number>/events")
@operation(
    headers=["Last-Event-ID"],
    responses={200: ResponseSpec(media_types=["text/event-stream"])},
    raises=[JobNotFoundError],
)
def follow(number: int) -> Response:
    """Stream a job as server-sent events, one per change, until the job has finished.

    The data of an event `job` is the job as JSON; the event `end` is the last of the stream. A
    worker with its maximum number of streams returns 503.
    """
    queue.get(services().engine, number)
    last_id = request.headers.get("Last-Event-ID", "")
    revision = int(last_id) if re.fullmatch("[0-9]{1,18}", last_id) else -1
    return event_stream((number, revision), instead=f"poll GET /jobs/{number}")
