"""Observations: hand them in, list and export them, take one back."""

import operator
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import AwareDatetime, BeforeValidator, FailFast, Field, ValidationError
from pydantic_core import PydanticCustomError

from streetlight.model.dataset import Outcome
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.ledger import ingest
from streetlight.service.ledger import queries as observations
from streetlight.service.ledger.idempotency import KeyReusedError
from streetlight.service.ledger.ingest import NewObservation, RowResult
from streetlight.service.ledger.queries import Filter, Observation, ObservationNotFoundError
from streetlight.service.validation.fields import Text
from streetlight.service.validation.problems import Problem, problems
from streetlight.service.web.api import observations_csv
from streetlight.service.web.api.observations_csv import MAX_ROWS
from streetlight.service.web.application import services
from streetlight.service.web.middleware.errors import ErrorResponse
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.request import RequestError, Schema, idempotent_request, parse_json
from streetlight.service.web.response import dump_json, json_response

blueprint = Blueprint("observations", __name__)

# Of one row: there is a complaint for each that is unknown.
MAX_FIELDS = 20


class ObservationBody(Schema):
    """One light state, and what people did."""

    lights: Annotated[list[float], Field(min_length=1, examples=[[0, 1, 0]]), FailFast()]
    outcome: Annotated[Outcome, Field(examples=["stop"])]
    id: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


class ObservationsBody(Schema):
    """Many observations; each is judged by itself, so one at fault keeps no other out."""

    observations: Annotated[list[ObservationBody], Field(min_length=1, max_length=MAX_ROWS)]


@dataclass(frozen=True)
class RecordResult:
    """What became of what was handed in: how many of each verdict, and each one's in turn."""

    recorded: int
    contradicting: int
    duplicates: int
    rejected: int
    results: list[RowResult]
    error: Annotated[str | None, Field(exclude_if=operator.not_)] = None


WITHDRAWABLE = {"observations_withdraw": {"number": "$response.body#/results/0/id"}}


@blueprint.post("/observations")
@operation(
    body=ObservationBody | ObservationsBody,
    body_media_types=["text/csv"],
    headers=["Idempotency-Key"],
    responses={
        201: ResponseSpec(RecordResult, links=WITHDRAWABLE),
        200: ResponseSpec(RecordResult, links=WITHDRAWABLE),
        207: ResponseSpec(RecordResult),
        400: ResponseSpec(RecordResult | ErrorResponse),
        409: ResponseSpec(RecordResult | ErrorResponse),
    },
    raises=[KeyReusedError],
)
def record() -> Response:
    """Add one observation, or `{"observations": […]}`; the answer has a verdict for each.

    Or a table as `text/csv`: a column for each light, then `outcome`. A table with a line at fault
    adds nothing.
    """
    rows = observations_csv.parse() if request.mimetype == "text/csv" else _from_json()
    live = live_version_if_any(services().repository)
    idempotent = idempotent_request("observations")
    return _told(ingest.record(services().engine, rows, live, "api", idempotent))


def _from_json() -> list[NewObservation | str]:
    body = parse_json()
    rows = [body]
    if isinstance(body, dict) and "observations" in body:
        rows = body["observations"]
        if not (isinstance(rows, list) and 0 < len(rows) <= MAX_ROWS and len(body) == 1):
            message = f"expected a list of 1 to {MAX_ROWS} observations, and no other field"
            raise RequestError([Problem("observations", message)])
    return [_parsed(row) for row in rows]


def _parsed(row: Any) -> NewObservation | str:  # noqa: ANN401 - whatever came
    if isinstance(row, dict) and len(row) > MAX_FIELDS:
        return f"expected {', '.join(ObservationBody.model_fields)}, got {len(row)} fields"
    try:
        body = ObservationBody.model_validate(row)
    except ValidationError as error:
        return "; ".join(map(str, problems(error, ObservationBody.model_fields)))
    return NewObservation(tuple(body.lights), body.outcome, body.id)


def _told(verdicts: list[RowResult]) -> Response:
    counts = Counter(verdict.verdict for verdict in verdicts)
    recorded = counts["accepted"] + counts["contradicts"]
    none_kept = counts["rejected"] == len(verdicts)
    told = RecordResult(
        recorded,
        counts["contradicts"],
        counts["duplicate"],
        counts["rejected"],
        verdicts,
        verdicts[0].error if none_kept else None,
    )
    if not counts["rejected"]:
        return json_response(told, 201 if recorded else 200)
    if not none_kept:
        return json_response(told, 207)
    # Nothing is wrong with a row whose id another one has but that it came too late.
    return json_response(told, 409 if all(verdict.id for verdict in verdicts) else 400)


def _no_number(text: str) -> str:
    # Pydantic takes a number for seconds since 1970, or milliseconds if it is large.
    if ":" not in text:
        raise PydanticCustomError("no_time", "a time such as 2000-01-01T00:00:00Z")
    return text


class ObservationQuery(Schema):
    """Which observations to list, and how."""

    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    outcome: Outcome | None = None
    since: Annotated[AwareDatetime, BeforeValidator(_no_number)] | None = None
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    source: Annotated[Text, Field(max_length=100)] | None = None
    format: Literal["json", "jsonl", "csv"] = "json"


@dataclass(frozen=True)
class ObservationPage:
    """A part of the ledger; `next` is where the following page begins, `after` that id."""

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
    """List observations, a page at a time; or stream all of them as JSON lines or CSV."""
    since = query.since.timestamp() if query.since else None
    wanted = Filter(query.outcome, since, query.version, query.source)
    engine = services().engine
    if query.format == "csv":
        return Response(
            observations_csv.write(observations.stream(engine, wanted)), mimetype="text/csv"
        )
    if query.format == "jsonl":
        lines = (
            b"".join(dump_json(row) + b"\n" for row in rows)
            for rows in observations.stream(engine, wanted)
        )
        return Response(lines, mimetype="application/x-ndjson")
    page = observations.page(engine, wanted, query.after, query.limit)
    return json_response(
        ObservationPage(
            total=observations.count(engine, wanted),
            observations=page,
            next=page[-1].id if len(page) == query.limit else None,
        )
    )


@blueprint.delete("/observations/<int:number>")
@operation(raises=[ObservationNotFoundError])
def withdraw(number: int) -> Observation:
    """Take an observation back; it stays on record as withdrawn."""
    return observations.withdraw(services().engine, number)
