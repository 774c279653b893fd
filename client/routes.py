"""The calls of the clients' methods."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from streetlight.client.call import Call
from streetlight.client.results import (
    BatchPrediction,
    Explanation,
    Health,
    JobPage,
    JobState,
    Observation,
    ObservationPage,
    Outcome,
    Prediction,
    RecordResult,
    Switched,
    VersionPage,
)


class Array(Protocol):
    """An array, such as numpy's."""

    def tolist(self) -> Any:  # noqa: ANN401 - as numpy declares it
        """Return its items as a list."""


Lights = Sequence[float] | Array
# The largest page of the ledger.
PAGE = 1000


class Row(TypedDict):
    """A light state and what people did."""

    lights: Lights
    outcome: Outcome


class NewObservation(Row):
    """A row for the ledger; a row with an `id` is added once."""

    id: NotRequired[str]
    request_id: NotRequired[str]


class Retraining(TypedDict, total=False):
    """What to learn from, how, and when to promote the version; as in `POST /retrain`."""

    rows: Sequence[Row]
    dataset: Literal["one-light", "six", "two-rows", "four"]
    promote: Literal["not_worse", "better", "always", "never"]
    must_hold: Sequence[Row]
    exam: float
    hidden_sizes: Sequence[int]
    alpha: float
    iterations: int
    batch_size: int | None
    seed: int
    restarts: int
    target_error: float | None
    patience: int | None
    weight_decay: float
    l1_penalty: float
    activation: Literal["relu", "linear"]
    repeats: Literal["grouped", "kept"]


def predict(lights: Lights) -> Call[Prediction]:
    """Decide one light state."""
    return Call("POST", "/predict", Prediction, body={"lights": lights}, has_request_id=True)


def predict_batch(lights: Sequence[Lights] | Array) -> Call[BatchPrediction]:
    """Decide many light states."""
    body = {"lights": lights}
    return Call("POST", "/predict/batch", BatchPrediction, body=body, has_request_id=True)


def explain(lights: Lights, version: int | None) -> Call[Explanation]:
    """Explain the score of one light state."""
    body = {"lights": lights, "version": version}
    return Call("POST", "/explain", Explanation, body=body, has_request_id=True)


def row(lights: Lights, outcome: Outcome, request_id: str | None) -> NewObservation:
    """Return an observation."""
    row = NewObservation(lights=lights, outcome=outcome)
    if request_id is not None:
        row["request_id"] = request_id
    return row


def observe(rows: Iterable[NewObservation], idempotency_key: str | None) -> Call[RecordResult]:
    """Add observations to the ledger."""
    return Call(
        "POST",
        "/observations",
        RecordResult,
        body={"observations": list(rows)},
        headers=_idempotent(idempotency_key),
    )


def observations(
    outcome: Outcome | None, since: datetime | None, version: int | None, source: str | None
) -> Call[ObservationPage]:
    """List the ledger."""
    params = {
        "limit": PAGE,
        "outcome": outcome,
        "since": since.isoformat() if since else None,
        "version": version,
        "source": source,
    }
    return Call("GET", "/observations", ObservationPage, params)


def observation(number: int) -> Call[Observation]:
    """Read an observation."""
    return Call("GET", f"/observations/{number}", Observation)


def withdraw(number: int) -> Call[Observation]:
    """Withdraw an observation."""
    return Call("DELETE", f"/observations/{number}", Observation)


def retrain(retraining: Retraining, idempotency_key: str | None) -> Call[JobState]:
    """Queue a retraining."""
    headers = _idempotent(idempotency_key)
    return Call("POST", "/retrain", JobState, body=retraining, headers=headers)


def job(number: int) -> Call[JobState]:
    """Read a job."""
    return Call("GET", f"/jobs/{number}", JobState)


def jobs() -> Call[JobPage]:
    """List the jobs."""
    return Call("GET", "/jobs", JobPage)


def job_events(job: JobState) -> Call[JobState]:
    """Follow a job from its revision on; `job_events.JobEvents` reads the stream."""
    headers = {"Last-Event-ID": str(job.revision)}
    return Call("GET", f"/jobs/{job.id}/events", JobState, headers=headers)


def cancel(number: int) -> Call[JobState]:
    """Cancel a job."""
    return Call("DELETE", f"/jobs/{number}", JobState)


def versions(limit: int | None = None) -> Call[VersionPage]:
    """List the versions."""
    return Call("GET", "/versions", VersionPage, {"limit": limit})


def promote(number: int, reason: str | None) -> Call[Switched]:
    """Make a version live; this can be repeated."""
    return Call("POST", f"/versions/{number}/promote", Switched, body=_reason(reason))


def rollback(reason: str | None) -> Call[Switched]:
    """Make the previous version live; each further request goes back one more."""
    return Call("POST", "/rollback", Switched, body=_reason(reason), repeatable=False)


def health() -> Call[Health]:
    """Ask whether the server is ready, once."""
    return Call("GET", "/readyz", Health)


def _idempotent(key: str | None) -> dict[str, str]:
    """Return the header with which the server does the work of repeated requests once."""
    return {"Idempotency-Key": key or uuid.uuid4().hex}


def _reason(reason: str | None) -> dict[str, Any]:
    return {} if reason is None else {"reason": reason}
