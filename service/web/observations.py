"""Observations: hand them in, list and export them, take one back."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import AwareDatetime, FailFast, Field, ValidationError
from pydantic_core import to_json

from model.dataset import Outcome
from service import observations, recording
from service.observations import Filter, Observation
from service.predictions import live_version_if_any
from service.recording import Observed, Verdict
from service.validation import Problem, problems
from service.web.exchange import (
    RequestError,
    Schema,
    answer,
    parse_json,
    parse_query,
    replayed,
    services,
)

blueprint = Blueprint("observations", __name__)

MOST_ROWS = 10_000


class ObservationBody(Schema):
    """One light state, and what people did."""

    lights: Annotated[list[float], Field(min_length=1), FailFast()]
    outcome: Outcome
    id: Annotated[str, Field(min_length=1, max_length=200)] | None = None


@blueprint.post("/observations")
def record() -> Response:
    """Add one observation, or `{"observations": […]}`; the answer has a verdict for each."""
    body = parse_json()
    rows = [body]
    if isinstance(body, dict) and "observations" in body:
        rows = body["observations"]
        if not (isinstance(rows, list) and 0 < len(rows) <= MOST_ROWS and len(body) == 1):
            message = f"expected a list of 1 to {MOST_ROWS} observations, and no other field"
            raise RequestError([Problem("observations", message)])
    live = live_version_if_any(services().repository)
    parsed = [_parsed(row) for row in rows]
    replay = replayed("observations")
    return _told(recording.record(services().engine, parsed, live, "api", replay))


def _parsed(row: Any) -> Observed | str:  # noqa: ANN401 - whatever came
    try:
        body = ObservationBody.model_validate(row)
    except ValidationError as error:
        return "; ".join(map(str, problems(error, ObservationBody.model_fields)))
    return Observed(tuple(body.lights), body.outcome, body.id)


def _told(verdicts: list[Verdict]) -> Response:
    counts = Counter(verdict.verdict for verdict in verdicts)
    recorded = counts["accepted"] + counts["contradicts"]
    told: dict[str, Any] = {
        "recorded": recorded,
        "contradicting": counts["contradicts"],
        "duplicates": counts["duplicate"],
        "rejected": counts["rejected"],
        "results": [
            {name: value for name, value in asdict(verdict).items() if value not in (None, [])}
            for verdict in verdicts
        ],
    }
    if not counts["rejected"]:
        return answer(told, 201 if recorded else 200)
    if counts["rejected"] < len(verdicts):
        return answer(told, 207)
    return answer({"error": verdicts[0].error, **told}, 400)


class ObservationQuery(Schema):
    """Which observations to list, and how."""

    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    outcome: Outcome | None = None
    since: AwareDatetime | None = None
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    source: Annotated[str, Field(max_length=100)] | None = None
    format: Literal["json", "jsonl", "csv"] = "json"


@blueprint.get("/observations")
def list_observations() -> Response:
    """List observations, a page at a time; or stream all of them as JSON lines or CSV."""
    query = parse_query(ObservationQuery)
    since = query.since.timestamp() if query.since else None
    wanted = Filter(query.outcome, since, query.version, query.source)
    engine = services().engine
    if query.format == "csv":
        return Response(_as_csv(observations.stream(engine, wanted)), mimetype="text/csv")
    if query.format == "jsonl":
        lines = (
            b"".join(to_json(_shown(row)) + b"\n" for row in rows)
            for rows in observations.stream(engine, wanted)
        )
        return Response(lines, mimetype="application/x-ndjson")
    page = observations.page(engine, wanted, query.after, query.limit)
    return answer(
        {
            "total": observations.count(engine, wanted),
            "observations": [_shown(row) for row in page],
            "next": page[-1].id if len(page) == query.limit else None,
        }
    )


@blueprint.delete("/observations/<int:number>")
def withdraw(number: int) -> Response:
    """Take an observation back; it stays on record as withdrawn."""
    return answer(_shown(observations.withdraw(services().engine, number)))


def _shown(row: Observation) -> dict[str, Any]:
    at = datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds")
    return vars(row) | {"at": at}


def _as_csv(pages: Iterator[list[Observation]]) -> Iterator[str]:
    """What `streetlight import` reads: no row that was withdrawn."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    header = False
    for rows in pages:
        kept = [row for row in rows if not row.withdrawn]
        if kept and not header:
            writer.writerow([*(f"light_{i}" for i in range(len(kept[0].lights))), "outcome"])
            header = True
        writer.writerows([*row.lights, row.outcome] for row in kept)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
