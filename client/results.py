"""What the methods of the clients return.

The fields are those of the responses in docs/reference.md. Fields that this release doesn't know
are ignored, so that a client works with a newer server.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["walk", "stop"]


class Result(BaseModel):
    """The base of all results, which can't be changed."""

    model_config = ConfigDict(frozen=True)


class Page(Result):
    """A part of a list; `next` is the parameter `after` of the next part, `None` in the last."""

    next: int | None = None


class Prediction(Result):
    """The decision for one light state; `request_id` is for `observe`."""

    decision: Outcome
    score: float
    version: int
    request_id: str | None = None


class BatchPrediction(Result):
    """The decisions for many light states, as columns in the order of the request."""

    decisions: list[Outcome]
    scores: list[float]
    version: int
    request_id: str | None = None


class Counterfactual(Result):
    """The change of one light from `was` to `now`, and the score and decision after it."""

    light: int
    was: float
    now: float
    decision: Outcome
    score: float


class Explanation(Prediction):
    """How a version computes its score for one light state."""

    layers: dict[str, list[float]]
    relu: dict[str, list[bool]]
    contributions: list[float]
    flip: Counterfactual | None
    weights: dict[str, list[list[float]]]


class RowResult(Result):
    """The verdict on one new observation, and its number in the ledger."""

    verdict: Literal["accepted", "contradicts", "duplicate", "rejected"]
    id: int | None = None
    contradicts: list[int] = []
    prediction: Literal["found", "missing"] | None = None
    error: str | None = None


class RecordResult(Result):
    """The number of new observations with each verdict, and the verdicts in their order."""

    recorded: int
    contradicting: int
    duplicates: int
    rejected: int
    results: list[RowResult]


class Observation(Result):
    """An observation in the ledger; `said` is what `version` decided about it."""

    id: int
    client_id: str | None
    at: datetime
    lights: list[float]
    outcome: Outcome
    source: str
    version: int | None
    said: Outcome | None
    withdrawn: bool
    request_id: str | None = None


class ObservationPage(Page):
    """A part of the ledger."""

    observations: list[Observation]


class JobProgress(Result):
    """How far a training got."""

    restart: int
    seed: int
    iteration: int
    error: float
    curve: list[tuple[int, float]]


class Change(Result):
    """A light state that two versions decide differently."""

    lights: list[float]
    was: Outcome
    now: Outcome
    difference: float
    observed: int | None = None


class Verdict(Result):
    """Why a new version went live, or didn't."""

    passed: bool
    forced: bool
    reasons: list[str]
    against: int | None
    accuracy: float
    live_accuracy: float | None
    changed: int = 0
    changes: list[Change] = []


class JobState(Result):
    """A retraining, as it was when the server sent it."""

    id: int
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    trigger: str
    request_id: str | None
    key: str | None = None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    cancel_requested: bool
    revision: int
    progress: JobProgress | None
    version: int | None
    promoted: bool | None
    verdict: Verdict | None
    error: str | None
    recipe: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether the job has ended; it doesn't change any more."""
        return self.state not in ("queued", "running")


class JobPage(Page):
    """A part of the list of jobs."""

    jobs: list[JobState]


class Version(Result):
    """A trained network; of a damaged one, only `version` and `damaged` are set."""

    version: int
    damaged: str | None = None
    parent: int | None = None
    created_at: datetime | None = None
    dataset: str | None = None
    rows: int | None = None
    recipe: dict[str, Any] = {}
    seed: int | None = None
    error: float | None = None
    accuracy: float | None = None
    job: int | None = None
    asked: int = 0
    right: int = 0


class VersionPage(Page):
    """A part of the list of versions, and the number of the live one."""

    live: int | None
    versions: list[Version]


class Promotion(Result):
    """A change of the live version."""

    at: datetime
    action: str
    version: int
    instead_of: int | None
    reason: str
    key: str | None = None


class Switched(Result):
    """The live version; `promotion` is `None` if it was live before."""

    live: int
    promotion: Promotion | None
    lagging: Sequence[str] = ()


class Health(Result):
    """The live version of a server that is ready, and what it lacks meanwhile."""

    status: str
    version: int
    missing: list[str] = []
    since: datetime | None = None
