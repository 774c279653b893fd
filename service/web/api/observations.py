"""Observations, each a light state and what people did: add, read, export and withdraw them."""

import operator
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import FailFast, Field, ValidationError

from streetlight.model.dataset import Outcome
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.ledger import ingest, queries
from streetlight.service.ledger.ingest import NewObservation, RowResult
from streetlight.service.ledger.queries import Filter, Observation, ObservationNotFoundError
from streetlight.service.prediction_log.lookup import Lookup
from streetlight.service.prediction_log.recorder import WRITE_INTERVAL
from streetlight.service.store.idempotency import KeyReusedError
from streetlight.service.validation.fields import After, Limit, Text, Time
from streetlight.service.validation.problems import Problem, RequestError, problems
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.api import observations_csv
from streetlight.service.web.api.observations_csv import MAX_ROWS
from streetlight.service.web.application import services
from streetlight.service.web.compression import compress
from streetlight.service.web.middleware.admission import admit, release
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.middleware.errors import ErrorResponse
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.request import idempotent_request, parse_json
from streetlight.service.web.response import json_lines_response, json_response

blueprint = Blueprint("observations", __name__)

# Seconds to wait until a prediction is in the log.
LOG_TIMEOUT = WRITE_INTERVAL + 1
# Limits the error message of a row, which names each unknown field.
MAX_FIELDS = 20


class ObservationBody(Schema):
    """One light state and what people did.

    A row with an `id` is added once: the same row with the same `id` is a duplicate. A row with a
    `request_id` answers the prediction of that request: its `version` and `said` are then taken
    from the prediction log, and null if the log doesn't have that prediction.
    """

    lights: Annotated[list[float], Field(min_length=1, examples=[[0, 1, 0]]), FailFast()]
    outcome: Annotated[Outcome, Field(examples=["stop"])]
    id: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    request_id: Annotated[Text, Field(min_length=1, max_length=128)] | None = None


class ObservationsBody(Schema):
    """Many observations; an invalid one is rejected, and the others are added."""

    observations: Annotated[list[ObservationBody], Field(min_length=1, max_length=MAX_ROWS)]


@dataclass(frozen=True)
class RecordResult:
    """The number of rows with each verdict, and the result of each row in the request's order.

    `recorded` counts the added rows, of which `contradicting` contradict other observations.
    """

    recorded: int
    contradicting: int
    duplicates: int
    rejected: int
    results: list[RowResult]
    error: Annotated[str | None, Field(exclude_if=operator.not_)] = None


FIRST_ID = {"number": "$response.body#/results/0/id"}
LINKS = {"observations_show": FIRST_ID, "observations_withdraw": FIRST_ID}


@blueprint.post("/observations")
@requires("observe")
@operation(
    body=ObservationBody | ObservationsBody,
    body_media_types=["text/csv"],
    headers=["Idempotency-Key"],
    responses={
        201: ResponseSpec(RecordResult, headers=["Location"], links=LINKS),
        200: ResponseSpec(RecordResult, links=LINKS),
        207: ResponseSpec(RecordResult),
        400: ResponseSpec(RecordResult | ErrorResponse),
        409: ResponseSpec(RecordResult | ErrorResponse),
    },
    raises=[KeyReusedError],
)
def record() -> Response:
    """Add one observation, or many as `{"observations": […]}`, and return a verdict for each.

    A table is sent as `text/csv`: a column for each light, then `outcome`, and a last column
    `request_id` if rows name predictions. If a line of the table is invalid, nothing is added.

    201: at least one row was added; `Location` is the address of the first. 200: every row is a
    duplicate. 207: some rows were rejected. 400: every row was rejected. 409: every row was
    rejected because its `id` is taken.
    """
    rows = (
        observations_csv.rows_from_body() if request.mimetype == "text/csv" else _rows_from_json()
    )
    live = live_version_if_any(services().repository)
    if live:  # it predicts each row
        admit(multiplications=len(rows) * live.network.weight_count)
    idempotent = idempotent_request("observations")
    return _record_response(
        ingest.record(
            services().engine,
            rows,
            live,
            "api",
            idempotent,
            log=_lookup(),
            before_lock=release,
        )
    )


def _rows_from_json() -> list[NewObservation | str]:
    """Return the rows of the request's body; an invalid row is replaced by its error message."""
    body = parse_json()
    rows = [body]
    if isinstance(body, dict) and "observations" in body:
        rows = body["observations"]
        if not (isinstance(rows, list) and 0 < len(rows) <= MAX_ROWS and len(body) == 1):
            message = f"expected a list of 1 to {MAX_ROWS} observations, and no other field"
            raise RequestError([Problem("observations", message)])
    return [_parse_row(row) for row in rows]


def _parse_row(row: Any) -> NewObservation | str:  # noqa: ANN401 - any JSON value
    if isinstance(row, dict) and len(row) > MAX_FIELDS:
        return f"expected {', '.join(ObservationBody.model_fields)}, got {len(row)} fields"
    try:
        body = ObservationBody.model_validate(row)
    except ValidationError as error:
        return "; ".join(map(str, problems(error, ObservationBody.model_fields)))
    return NewObservation(tuple(body.lights), body.outcome, body.id, body.request_id)


def _lookup() -> Lookup | None:
    engine, settings = services().prediction_log, services().settings
    return Lookup(engine, settings.prediction_log_sample, LOG_TIMEOUT) if engine else None


def _record_response(results: list[RowResult]) -> Response:
    counts = Counter(result.verdict for result in results)
    recorded = counts["accepted"] + counts["contradicts"]
    all_rejected = counts["rejected"] == len(results)
    body = RecordResult(
        recorded,
        counts["contradicts"],
        counts["duplicate"],
        counts["rejected"],
        results,
        results[0].error if all_rejected else None,
    )
    if not counts["rejected"]:
        response = json_response(body, 201 if recorded else 200)
        if recorded:
            first = next(result.id for result in results if result.verdict != "duplicate")
            response.headers["Location"] = f"/observations/{first}"
        return response
    if not all_rejected:
        return json_response(body, 207)
    # A rejected row has an id only if it is valid but another observation has its client id.
    return json_response(body, 409 if all(result.id for result in results) else 400)


class ObservationQuery(Schema):
    """The filters, the page and the format of a list of observations."""

    after: After = 0
    limit: Limit = 100
    outcome: Outcome | None = None
    since: Time | None = None
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    source: Annotated[Text, Field(max_length=100)] | None = None
    format: Literal["json", "jsonl", "csv"] = "json"


@dataclass(frozen=True)
class ObservationPage:
    """One page of the ledger; request the next page with `after` set to `next`, null on the last.

    The page includes withdrawn rows; `total`, the number of matching rows, doesn't.
    """

    total: int
    observations: list[Observation]
    next: int | None


@blueprint.get("/observations")
@operation(
    responses={
        200: ResponseSpec(
            ObservationPage,
            media_types=["application/x-ndjson", "text/csv"],
        )
    }
)
def list_observations(query: ObservationQuery) -> Response:
    """List observations by page, or stream all of them with `format=jsonl` or `format=csv`.

    A stream ignores `after` and `limit`. CSV has the lights and the outcome of each observation
    that isn't withdrawn.
    """
    since = query.since.timestamp() if query.since else None
    filters = Filter(query.outcome, since, query.version, query.source)
    engine = services().engine
    if query.format == "csv":
        lines = observations_csv.write(queries.stream(engine, filters))
        return compress(Response(lines, mimetype="text/csv"))
    if query.format == "jsonl":
        return json_lines_response(queries.stream(engine, filters))
    page = queries.page(engine, filters, query.after, query.limit + 1)
    return json_response(
        ObservationPage(
            total=queries.count(engine, filters),
            observations=page[: query.limit],
            next=page[query.limit - 1].id if len(page) > query.limit else None,
        )
    )


@blueprint.get("/observations/<int:number>")
@operation(raises=[ObservationNotFoundError])
def show(number: int) -> Observation:
    """Return an observation, withdrawn or not."""
    return queries.get(services().engine, number)


@blueprint.delete("/observations/<int:number>")
@operation(raises=[ObservationNotFoundError])
def withdraw(number: int) -> Observation:
    """Withdraw an observation; it stays in the ledger, and later trainings leave it out."""
    return queries.withdraw(services().engine, number)
