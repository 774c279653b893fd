"""Light states in the JSON and CSV of other servers' clients: lists, columns, records, tables.

Each comes out as an array of shape (rows, lights), or is refused with the row named.
"""

import csv
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.inference.prediction import check_counts
from streetlight.service.validation.problems import FieldError, Problem, preview, problems
from streetlight.service.web.request import RequestError

INPUT = "lights"

_Lights = Annotated[list[float], FailFast()]
_ROWS = TypeAdapter(
    Annotated[list[_Lights], Field(min_length=1), FailFast()],
    config=ConfigDict(strict=True, allow_inf_nan=False),
)


def from_rows(version: Version, rows: object, field: str) -> FloatArray:
    """Return rows that are lists of lights, or objects that name them: `{"lights": [1, 0, 1]}`.

    Raises:
        RequestError, LightsError: names the row at fault.
    """
    if isinstance(rows, list):
        rows = [_unnamed(row) for row in rows]
    try:
        lights = _ROWS.validate_python(rows)
    except ValidationError as error:
        found = problems(error)
        raise RequestError(
            [Problem(f"{field}{p.field}", p.message, p.got) for p in found]
        ) from None
    check_counts(version, lights, field)
    return np.array(lights, dtype=np.float64)


def _unnamed(row: Any) -> Any:  # noqa: ANN401 - whatever is JSON
    if isinstance(row, dict) and row.keys() == {INPUT}:
        return row[INPUT]
    return row


def from_columns(version: Version, columns: object, field: str) -> FloatArray:
    """Return all rows at once: a list of them, or an object that names it.

    Raises:
        RequestError, LightsError: names the row at fault.
    """
    return from_rows(version, _unnamed(columns), field)


def from_records(version: Version, records: object, field: str) -> FloatArray:
    """Return rows that are objects with a light by each name; the first row gives their order.

    Raises:
        RequestError, LightsError: names the row at fault.
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
    """Return the rows of `{"columns": […], "data": [[…], …]}`.

    Raises:
        RequestError, LightsError: names the row at fault.
    """
    if not isinstance(table, dict) or "data" not in table:
        raise FieldError(Problem(field, f"expected columns and data, got {preview(table)}"))
    data = table["data"]
    if table.get("columns") == [INPUT] and isinstance(data, list):
        # One column, whose cells are whole rows.
        data = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]
    return from_rows(version, data, f"{field}.data")


def from_csv(version: Version, body: bytes) -> FloatArray:
    """Return the rows of a CSV, with a line of names above them or without.

    Raises:
        RequestError, LightsError: names the row at fault.
    """
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(text.splitlines(), strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise FieldError(Problem("body", f"not a CSV: {error}")) from None
    if lines and not any(map(_is_number, lines[0])):
        lines = lines[1:]
    rows: list[Sequence[object]] = [
        [float(cell) if _is_number(cell) else cell for cell in line] for line in lines
    ]
    return from_rows(version, rows, "body")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
