"""Read and write observations as CSV, in the format that `streetlight import` reads."""

import csv
import io
from collections.abc import Iterator
from itertools import islice

from streetlight.model import csv_io
from streetlight.model.dataset import DatasetError, outcome_name
from streetlight.service.ledger.ingest import NewObservation
from streetlight.service.ledger.queries import Observation
from streetlight.service.validation.problems import Problem, RequestError
from streetlight.service.web.request import read_body

MAX_ROWS = 10_000
MAX_HEADER = 10_000
MAX_MESSAGE = 200


def rows_from_body() -> list[NewObservation | str]:
    """Return the rows of the request's body.

    Raises:
        RequestError: a line is invalid, or there are more than `MAX_ROWS` rows; the message names
            the first invalid line.
        RequestEntityTooLarge: the body is larger than `max_body_bytes`.
    """
    body = read_body()
    if len(body.partition(b"\n")[0]) > MAX_HEADER:
        raise RequestError([Problem("line 1", f"expected at most {MAX_HEADER} characters")])
    try:
        lines = io.StringIO(body.decode("utf-8-sig"), newline="")
        rows = list(islice(csv_io.parse(lines), MAX_ROWS + 1))
    except (DatasetError, csv.Error, UnicodeDecodeError) as error:
        raise RequestError([Problem("", str(error)[:MAX_MESSAGE])]) from error
    if len(rows) > MAX_ROWS:
        message = f"expected at most {MAX_ROWS} rows; `streetlight import` has no such limit"
        raise RequestError([Problem("", message)])
    return [
        NewObservation(tuple(row.lights), outcome_name(row.outcome), request_id=row.request_id)
        for row in rows
    ]


def write(pages: Iterator[list[Observation]]) -> Iterator[str]:
    """Yield a CSV table of the rows that are not withdrawn, one string for each page."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    has_header = False
    for rows in pages:
        active = [row for row in rows if not row.withdrawn]
        if active and not has_header:
            writer.writerow([*(f"light_{i}" for i in range(len(active[0].lights))), "outcome"])
            has_header = True
        writer.writerows([*row.lights, row.outcome] for row in active)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
