"""`Job`: a retraining job as a row of the table `jobs` has it, with its specification and progress.

`queue` submits, reads and cancels jobs.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import TypeAdapter
from sqlalchemy import Row

from streetlight.model.recipe import Recipe
from streetlight.service.learning.gate import Promote, Verdict
from streetlight.service.learning.training_data import LEDGER, JobData
from streetlight.service.store.tables import UNFINISHED
from streetlight.service.store.timestamp import Timestamp
from streetlight.service.validation.fields import MustHold
from streetlight.service.versions.comparison import MAX_CHANGES

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Trigger = Literal["request", "observations", "accuracy"]

_verdict = TypeAdapter(Verdict)
_promote: TypeAdapter[Promote] = TypeAdapter(Promote)


def current_name(promote: object) -> object:
    """Return a value of `promote`, with today's name of the one that release 0.1 named if_better.

    Stored jobs and clients use the former name, too.
    """
    return "not_worse" if promote == "if_better" else promote


def default_promote(data: JobData) -> Promote:
    """Return when to promote the version of a job whose request doesn't say so.

    There is no exam if the job doesn't learn from the ledger. A version that has learnt two rows
    could replace one that has learnt from many observations.
    """
    return "not_worse" if data.source == "ledger" else "never"


@dataclass(frozen=True)
class JobSpec:
    """The specification of a job, stored as JSON in the column `order`.

    Attributes:
        recipe: how to train.
        promote: when to promote the version: if it passes the gate, by being not worse or better
            than the live version, or always or never.
        must_hold: patterns that the version must decide as given to pass the gate, in addition
            to those of the settings.
        exam: the observations to hold back; `None` for the setting `exam`.
        data: what to learn from.
    """

    recipe: Recipe
    promote: Promote = "not_worse"
    must_hold: tuple[MustHold, ...] = ()
    exam: float | None = None
    data: JobData = LEDGER

    def to_json(self, last_observation: int = 0, live: int | None = None) -> str:
        """Return the specification as JSON that `from_json` reads.

        It includes the id of the newest observation, which `queue.last_observation` reads, and, of
        an automatic job, the number of the live version, which `queue.unsuccessful` reads.
        """
        return json.dumps(asdict(self) | {"last_observation": last_observation, "live": live})

    @classmethod
    def from_json(cls, text: str) -> "JobSpec":
        """Return the specification in the JSON `text`."""
        fields = json.loads(text)
        return cls(
            Recipe(**fields["recipe"]),
            _promote.validate_python(current_name(fields["promote"])),
            tuple(MustHold(tuple(item["lights"]), item["outcome"]) for item in fields["must_hold"]),
            fields.get("exam"),
            # Release 0.1 stored no data: all jobs learnt from the ledger.
            JobData(**fields["data"]) if "data" in fields else LEDGER,
        )


@dataclass(frozen=True)
class JobProgress:
    """The progress of a training.

    Attributes:
        restart: the number of the current run; the first is 0.
        seed: the seed of the run.
        iteration: the last pass over the data; the first is 1.
        error: the error in that pass.
        curve: pairs of iteration and error in this run, thinned.
    """

    restart: int
    seed: int
    iteration: int
    error: float
    curve: list[tuple[int, float]]


@dataclass(frozen=True)
class Job:
    """One retraining job: its specification, its state and its result.

    Attributes:
        id: the number of the job.
        state: the state; a job has ended when it is not queued or running.
        trigger: the cause: a request, or a setting for automatic retrainings.
        request_id: the id of the request that submitted the job, if a request did.
        key: the name of the API key of that request, if it sent one.
        submitted_at: when the job was submitted.
        started_at: when the last attempt started.
        finished_at: when the job ended.
        attempt: the number of attempts so far, without those that a stopping trainer released.
        cancel_requested: whether a running job is to be cancelled.
        revision: increases with every change that a follower of the job should see.
        progress: how far the last attempt got.
        version: the version that the job published.
        promoted: whether that version went live.
        verdict: the result of the promotion gate.
        error: why the job failed.
        recipe: how to train.
        promote: when to promote the version: if it passes the gate, by being not worse or better
            than the live version, or always or never.
        must_hold: patterns that the version must decide as given to pass the gate.
        exam: the observations to hold back: below 1 a share, else a number; null for the setting.
        data: what the job learns from.
    """

    id: int
    state: State
    trigger: Trigger
    request_id: str | None
    key: str | None
    submitted_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    attempt: int
    cancel_requested: bool
    revision: int
    progress: JobProgress | None
    version: int | None
    promoted: bool | None
    verdict: Verdict | None
    error: str | None
    recipe: Recipe
    promote: Promote
    must_hold: tuple[MustHold, ...]
    exam: float | None
    data: JobData

    @property
    def finished(self) -> bool:
        """Whether the job has ended; an ended job doesn't change."""
        return self.state not in UNFINISHED


def job_from_row(row: Row[Any]) -> Job:
    """Return the job in `row`, a row of the table `jobs`."""
    names = Job.__dataclass_fields__.keys() & row._fields
    fields = {name: getattr(row, name) for name in names}
    progress = json.loads(row.progress) if row.progress else None
    return Job(
        **fields
        | vars(JobSpec.from_json(row.order))
        | {
            "progress": JobProgress(**progress) if progress else None,
            "verdict": _verdict_from_json(row.verdict) if row.verdict else None,
        }
    )


def _verdict_from_json(text: str) -> Verdict:
    verdict = _verdict.validate_json(text)
    # Release 0.1.0 stored all changes, and not their number.
    changed = max(verdict.changed, len(verdict.changes))
    return replace(verdict, changed=changed, changes=verdict.changes[:MAX_CHANGES])
