"""`Rows`, the light states of a request, and their JSON and CSV forms in other protocols.

Each function returns an array of shape (rows, lights), or raises an error that names the invalid
row.
"""

import codecs
import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import batch_json
from streetlight.service.inference.codecs.v2_request import INPUT
from streetlight.service.inference.prediction import LightStates, check_counts
from streetlight.service.validation.json_bounds import check_bounds
from streetlight.service.validation.problems import (
    FieldError,
    Problem,
    RequestError,
    preview,
    problems,
)

# Bytes of the first line of a CSV.
MAX_HEADER = 64 * 1024

_Lights = Annotated[list[float], FailFast()]
_ROWS = TypeAdapter(
    Annotated[list[_Lights], Field(min_length=1), FailFast()],
    config=ConfigDict(strict=True, allow_inf_nan=False),
)


class Rows(NamedTuple):
    """The light states of a request, and their name in error messages."""

    lights: LightStates
    field: str


def from_rows(version: Version, rows: object, field: str) -> FloatArray:
    """Parse a list of rows; a row is a list of lights, or `{"lights": [1, 0, 1]}`.

    Raises:
        RequestError, LightsError: a row is invalid; the message names it.
    """
    if isinstance(rows, list):
        rows = [_unwrap(row) for row in rows]
    try:
        lights = _ROWS.validate_python(rows)
    except ValidationError as error:
        raise RequestError(
            [Problem(f"{field}{p.field}", p.message, p.got) for p in problems(error)]
        ) from None
    check_counts(version, lights, field)
    return np.array(lights, dtype=np.float64)


def _unwrap(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of `lights` in an object with this field only; any other value unchanged."""
    if isinstance(value, dict) and value.keys() == {INPUT}:
        return value[INPUT]
    return value


def from_columns(version: Version, columns: object, field: str) -> FloatArray:
    """Parse the columnar format: a list of rows, or `{"lights": [[1, 0, 1], …]}`.

    Raises:
        RequestError, LightsError: a row is invalid; the message names it.
    """
    return from_rows(version, _unwrap(columns), field)


def from_records(version: Version, records: object, field: str) -> FloatArray:
    """Parse objects with a field for each light; the first object gives the order of the lights.

    Raises:
        RequestError, LightsError: a row is invalid; the message names it.
    """
    if not isinstance(records, list) or not records:
        raise FieldError(Problem(field, f"expected a list of rows, got {preview(records)}"))
    names = records[0].keys() if isinstance(records[0], dict) else ()
    rows = []
    for i, record in enumerate(records):
        if not isinstance(record, dict) or record.keys() != names:
            message = f"expected an object with {', '.join(names)[:80]}, got {preview(record)}"
            raise FieldError(Problem(f"{field}[{i}]", message))
        rows.append(record if names == {INPUT} else [record[name] for name in names])
    return from_rows(version, rows, field)


def from_table(version: Version, table: object, field: str) -> FloatArray:
    """Parse `{"columns": […], "data": [[…], …]}`; the order of the columns is the lights' order.

    Raises:
        RequestError, LightsError: a row is invalid; the message names it.
    """
    if not isinstance(table, dict) or "data" not in table:
        raise FieldError(Problem(field, f"expected columns and data, got {preview(table)}"))
    data = table["data"]
    if table.get("columns") == [INPUT] and isinstance(data, list):
        # The table has one column, and each of its cells is a whole row.
        data = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]
    return from_rows(version, data, f"{field}.data")


def from_csv(version: Version, body: bytes) -> FloatArray:
    """Parse a CSV; a first line without any number is a header, and is skipped.

    Raises:
        RequestError, LightsError: a row is invalid; the message names it.
        TooManyValuesError: there are too many rows.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    first = body[: body.find(b"\n", 0, MAX_HEADER) + 1]
    is_header = first and not any(map(_is_number, first.split(b",")))
    lights = batch_json.decode_csv(
        body[len(first) :] if is_header else body, version.network.light_count
    )
    if lights is not None:
        return lights
    try:
        text = io.StringIO(check_bounds(body, parts=b"\r\n").decode(), newline="")
        lines = [line for line in csv.reader(text, strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise FieldError(Problem("body", f"not a CSV: {error}")) from None
    if lines and not any(map(_is_number, lines[0])):
        lines = lines[1:]
    rows: list[Sequence[object]] = [
        [float(cell) if _is_number(cell) else cell for cell in line] for line in lines
    ]
    return from_rows(version, rows, "body")


def _is_number(cell: str | bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
