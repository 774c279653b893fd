"""What a job learns from: the ledger, a dataset of the lab, or the rows of the request.

The rows of a request are stored beside the job, so that the pages of jobs don't read them.
"""

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sqlalchemy import Connection, Engine, delete, insert, select

from streetlight.model.dataset import LAB_DATASETS, Dataset, Repeats
from streetlight.service.ledger.training_set import LedgerError, TrainingSet
from streetlight.service.store.tables import UNFINISHED, job_rows, jobs
from streetlight.service.validation.problems import FieldError, Problem


@dataclass(frozen=True)
class JobData:
    """What a job learns from.

    Attributes:
        source: the ledger, a dataset of the lab, or the rows of the request.
        read: when the data are read; observations that are added until then are learnt, too.
        dataset: the name of the dataset.
        rows: the number of rows; of the ledger, that of the observations shortly before the job was
            queued.
        last_id: the id of the newest observation when the job was queued, if it reads the ledger.
    """

    source: Literal["ledger", "dataset", "rows"]
    read: Literal["when the job starts", "when the job is queued"] = "when the job is queued"
    dataset: str | None = None
    rows: int | None = None
    last_id: int | None = None


LEDGER = JobData("ledger", "when the job starts")


def data_of(rows: Dataset, dataset: str | None) -> JobData:
    """Return what a job learns from `rows`, which are those of `dataset` if it is given.

    Raises:
        FieldError: all rows have the same outcome.
    """
    source: Literal["dataset", "rows"] = "dataset" if dataset else "rows"
    mean = float(rows.walk_vs_stop.mean())
    if mean in (0, 1):
        present, missing = ("walk", "stop") if mean else ("stop", "walk")
        raise FieldError(
            Problem(
                source,
                f"expected rows of both outcomes, got {len(rows)} with {present} and none with "
                f"{missing}",
            )
        )
    return JobData(source, dataset=dataset, rows=len(rows))


def store_rows(connection: Connection, job: int, rows: Dataset) -> None:
    """Store the rows of a job, and delete those of finished jobs; their versions have them."""
    unfinished = select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED))
    connection.execute(delete(job_rows).where(job_rows.c.job.not_in(unfinished)))
    text = json.dumps([rows.lights.tolist(), rows.walk_vs_stop.tolist()])
    connection.execute(insert(job_rows).values(job=job, data=text))


def load_rows(engine: Engine, job: int, data: JobData, repeats: Repeats) -> TrainingSet:
    """Return the dataset, or the rows of the request, that a job learns from.

    Raises:
        LedgerError: the rows are deleted, because the job has ended.
    """
    if data.source == "dataset":
        rows, name = LAB_DATASETS[str(data.dataset)], str(data.dataset)
    else:
        with engine.connect() as connection:
            query = select(job_rows.c.data).where(job_rows.c.job == job)
            text = connection.execute(query).scalar()
        if text is None:
            raise LedgerError(f"job {job} has ended, and its rows are deleted")
        rows, name = Dataset(*map(np.array, json.loads(text))), "request"
    why_no_exam = "only a training on the ledger holds observations back"
    return TrainingSet(rows.with_repeats(repeats), None, [], None, why_no_exam, name)
