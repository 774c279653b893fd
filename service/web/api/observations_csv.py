"""Observations as CSV, in and out: what a spreadsheet and `streetlight import` read and write."""

import csv
import io
from collections.abc import Iterator
from itertools import islice

from streetlight.model import csv_io
from streetlight.model.dataset import DatasetError, outcome_name
from streetlight.service.ledger.ingest import NewObservation
from streetlight.service.ledger.queries import Observation
from streetlight.service.validation.problems import Problem
from streetlight.service.web.request import RequestError, read_bytes

MAX_ROWS = 10_000
MAX_HEADER = 10_000
MAX_MESSAGE = 200


def parse() -> list[NewObservation | str]:
    """Return the rows of the request's body.

    Raises:
        RequestError: the first line at fault; of a table, nothing is taken then.
        RequestEntityTooLarge: it is larger than the settings allow.
    """
    body = read_bytes()
    if len(body.partition(b"\n")[0]) > MAX_HEADER:
        raise RequestError([Problem("line 1", f"expected at most {MAX_HEADER} characters")])
    try:
        lines = io.StringIO(body.decode("utf-8-sig"), newline="")
        rows = list(islice(csv_io.parse(lines), MAX_ROWS + 1))
    except (DatasetError, csv.Error, UnicodeDecodeError) as error:
        raise RequestError([Problem("", str(error)[:MAX_MESSAGE])]) from error
    if len(rows) > MAX_ROWS:
        message = f"expected at most {MAX_ROWS} rows; `streetlight import` takes any number"
        raise RequestError([Problem("", message)])
    return [NewObservation(tuple(lights), outcome_name(outcome)) for lights, outcome in rows]


def write(pages: Iterator[list[Observation]]) -> Iterator[str]:
    """Yield a table of those rows that aren't withdrawn, page by page."""
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
