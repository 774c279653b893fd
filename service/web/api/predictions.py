"""The prediction log: list and export what was predicted."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import Field, TypeAdapter

from streetlight.model.dataset import Outcome
from streetlight.service.prediction_log import queries
from streetlight.service.prediction_log.queries import (
    Dialect,
    Filter,
    LoggedPrediction,
    PredictionLogOffError,
)
from streetlight.service.validation.fields import After, Limit, Text, Time
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.application import services
from streetlight.service.web.compression import compress
from streetlight.service.web.middleware.auth import private
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.response import json_lines_response, json_response

blueprint = Blueprint("predictions", __name__)

ROWS = TypeAdapter(list[LoggedPrediction])


class PredictionQuery(Schema):
    """The filters, the page and the format of a list of predictions."""

    after: After = 0
    limit: Limit = 100
    since: Time | None = None
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    decision: Outcome | None = None
    dialect: Dialect | None = None
    request_id: Annotated[Text, Field(max_length=128)] | None = None
    format: Literal["json", "jsonl", "csv"] = "json"


@dataclass(frozen=True)
class PredictionPage:
    """One page of the log; request the next page with `after` set to `next`, null on the last.

    Before the last page, too, a page may have fewer predictions than `limit`, even none: if their
    light states are large, or if few of the predictions match.
    """

    predictions: list[LoggedPrediction]
    next: int | None


@blueprint.get("/predictions")
@private
@operation(
    responses={200: ResponseSpec(PredictionPage, media_types=["application/x-ndjson", "text/csv"])},
    raises=[PredictionLogOffError],
)
def list_predictions(query: PredictionQuery) -> Response:
    """List logged predictions by page, or stream all with `format=jsonl` or `format=csv`.

    A stream ignores `after` and `limit`. A prediction is in the log about half a second after its
    response, and of a request with many light states, the first 100 are.
    """
    since = query.since.timestamp() if query.since else None
    filters = Filter(since, query.version, query.decision, query.dialect, query.request_id)
    engine = services().require_prediction_log()
    if query.format == "csv":
        return compress(Response(_csv(queries.stream(engine, filters)), mimetype="text/csv"))
    if query.format == "jsonl":
        return json_lines_response(queries.stream(engine, filters))
    page = queries.page(engine, filters, query.after, query.limit)
    return json_response(PredictionPage(page.predictions, page.next))


def _csv(pages: Iterator[list[LoggedPrediction]]) -> Iterator[str]:
    """Yield a CSV table, one string for each page; the lights are numbers separated by spaces."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(field.name for field in fields(LoggedPrediction))
    for rows in pages:
        for row in ROWS.dump_python(rows, mode="json"):
            row["lights"] = " ".join(map(str, row["lights"]))
            writer.writerow(row.values())
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
