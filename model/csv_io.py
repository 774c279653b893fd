"""Read and write observations as CSV.

A file has a header, one column for each light, then `outcome`, and a row for each observation. A
last column `request_id` may name the prediction that an observation answers. The checks on the
values themselves are in `dataset`.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streetlight.model.dataset import Dataset, DatasetError, outcome_name

OUTCOMES = {"walk": 1.0, "1": 1.0, "stop": 0.0, "0": 0.0}
REQUEST_ID = "request_id"
MAX_REQUEST_ID = 128


class Row(NamedTuple):
    """A row: the lights, the outcome (1 for walk, 0 for stop), and the id of the prediction."""

    lights: list[float]
    outcome: float
    request_id: str | None = None


def read(path: Path) -> Dataset:
    """Return the dataset in the CSV file at `path`.

    Raises:
        DatasetError: the file is not a valid dataset; the message names the file and the line.
        OSError: the file can't be read.
    """
    try:
        rows = list(read_rows(path))
        return Dataset(
            np.array([row.lights for row in rows]), np.array([row.outcome for row in rows])
        )
    except (DatasetError, csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: {error}") from error


def read_rows(path: Path) -> Iterator[Row]:
    """Yield each row of the file at `path`.

    Rows are read as they are consumed, so memory doesn't grow with the file.

    Raises:
        DatasetError: a row is invalid, or there is none; the message names the line.
        csv.Error: the file is not CSV.
        UnicodeDecodeError: the file is not UTF-8.
        OSError: the file can't be read.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from parse(file)


def parse(lines: Iterable[str]) -> Iterator[Row]:
    """Yield the same rows as `read_rows`, from `lines` that include their line endings.

    Raises:
        DatasetError: a row is invalid, or there is none; the message names the line.
        csv.Error: the lines are not CSV.
    """
    reader = csv.reader(lines, strict=True)
    header = [name.strip() for name in next(reader, [])]
    names = header[:-1] if header[-1:] == [REQUEST_ID] else header
    if len(names) < 2 or names[-1].lower() != "outcome":
        raise DatasetError(
            f"line 1: expected a header of light names and then outcome, got {header}"
        )
    lights = len(names) - 1
    found = False
    for row in reader:
        location = f"line {reader.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise DatasetError(f"{location}: expected {len(header)} columns, got {len(row)}")
        outcome = OUTCOMES.get(row[lights].strip().lower())
        if outcome is None:
            raise DatasetError(
                f'{location}: outcome: expected walk, stop, 1 or 0, got "{row[lights]}"'
            )
        cells = zip(names[:lights], row[:lights], strict=True)
        yield Row(
            [_light(cell, f"{location}: {name}") for name, cell in cells],
            outcome,
            _request_id("".join(row[lights + 1 :]), location),
        )
        found = True
    if not found:
        raise DatasetError("expected at least one observation, got none")


def _light(cell: str, location: str) -> float:
    try:
        light = float(cell)
    except ValueError:
        light = math.nan
    if not math.isfinite(light):
        raise DatasetError(f'{location}: expected a finite number, got "{cell}"')
    return light


def _request_id(cell: str, location: str) -> str | None:
    if len(cell) > MAX_REQUEST_ID or not cell.isprintable():
        message = f"expected at most {MAX_REQUEST_ID} printable characters, got {cell[:40]!r}"
        raise DatasetError(f"{location}: {REQUEST_ID}: {message}")
    return cell.strip() or None


def write(dataset: Dataset, path: Path) -> None:
    """Write `dataset` to `path` in the format that `read` reads.

    A row that stands for several observations is written once for each of them.

    Raises:
        DatasetError: a row's outcome is a mean, which is not an observation.
        OSError: the file can't be written.
    """
    means = (dataset.walk_vs_stop != 0) & (dataset.walk_vs_stop != 1)
    if means.any():
        row = int(means.argmax())
        raise DatasetError(
            f"row {row + 1}: outcome: expected walk or stop, "
            f"got a mean of {dataset.walk_vs_stop[row]:.3g}"
        )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(f"light_{i}" for i in range(dataset.light_count)), "outcome"])
        for lights, outcome, count in zip(
            dataset.lights.tolist(),
            dataset.walk_vs_stop.tolist(),
            dataset.counts.tolist(),
            strict=True,
        ):
            cells = [f"{light:.17g}" for light in lights]
            writer.writerows([[*cells, outcome_name(outcome)]] * count)
