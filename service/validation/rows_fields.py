"""The fields of a request that has rows to learn from, or names one of the lab's datasets."""

from typing import Annotated

import numpy as np
from pydantic import FailFast, Field

from streetlight.model.dataset import LAB_DATASETS, Dataset, LabDataset, Outcome
from streetlight.service.validation.problems import FieldError, Problem
from streetlight.service.validation.request_schema import Schema

MAX_ROWS = 10_000


class Row(Schema):
    """A light state and what people did."""

    lights: Annotated[list[float], Field(min_length=1), FailFast()]
    outcome: Outcome


class RowsFields(Schema):
    """Rows, or the name of one of the lab's datasets."""

    rows: Annotated[tuple[Row, ...], Field(max_length=MAX_ROWS, fail_fast=True)] | None = None
    dataset: Annotated[LabDataset | None, Field(examples=["six"])] = None

    def to_dataset(self) -> Dataset | None:
        """Return the dataset, or the rows as they are; `None` if the request has neither.

        A repeated row is one more row.

        Raises:
            FieldError: there are both, no rows in `rows`, or different numbers of lights.
        """
        if self.rows is None:
            return LAB_DATASETS[self.dataset] if self.dataset else None
        if self.dataset is not None:
            message = "expected rows or a dataset, got both"
            raise FieldError(Problem("dataset", message, self.dataset))
        if not self.rows:
            raise FieldError(Problem("rows", "expected at least 1 row, got 0"))
        count = len(self.rows[0].lights)
        for i, row in enumerate(self.rows):
            if (got := len(row.lights)) != count:
                message = f"expected {count} lights, as in the first row, got {got}"
                raise FieldError(Problem(f"rows[{i}].lights", message, got))
        outcomes = [float(row.outcome == "walk") for row in self.rows]
        return Dataset(np.array([row.lights for row in self.rows]), np.array(outcomes))
