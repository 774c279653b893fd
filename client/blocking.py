"""`Client`: a client that waits for each response."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Self, TypeVar, Unpack

import httpx
from pydantic import PrivateAttr

from streetlight.client import routes
from streetlight.client.call import Call, R, Server
from streetlight.client.errors import ConflictError, JobFailedError, UnreachableError
from streetlight.client.job_events import POLL_SECONDS, JobEvents
from streetlight.client.results import (
    BatchPrediction,
    Explanation,
    Health,
    JobState,
    Observation,
    Outcome,
    Page,
    Prediction,
    RecordResult,
    RowResult,
    Switched,
    Version,
)
from streetlight.client.retry import Answer, Attempts, Retry
from streetlight.client.routes import Array, Lights, NewObservation, Retraining

P = TypeVar("P", bound=Page)


class Client:
    """A client of the server at `url`.

    Args:
        url: the server's URL, with the prefix that a proxy gives it.
        api_key: the server's key; without one, requests that need it raise `UnauthorizedError`.
        timeout: seconds to wait for each part of a response; at most 5 for a connection.
        retry: when to send a request again.
        http: the httpx client that sends the requests, with proxies, certificates or a transport of
            its own; who made it closes it.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = 15.0,
        retry: Retry = Retry(),  # noqa: B008 - it can't be changed
        http: httpx.Client | None = None,
    ) -> None:
        self._server = Server(url, api_key, timeout, retry)
        self._own_http = http is None
        self._http = http or httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._own_http:
            self._http.close()

    def predict(self, lights: Lights) -> Prediction:
        """Return the live version's decision for one light state."""
        return self._send(routes.predict(lights))

    def predict_batch(self, lights: Sequence[Lights] | Array) -> BatchPrediction:
        """Return the live version's decisions for many light states, in their order."""
        return self._send(routes.predict_batch(lights))

    def explain(self, lights: Lights, version: int | None = None) -> Explanation:
        """Return how a version, by default the live one, computes its score for a light state."""
        return self._send(routes.explain(lights, version))

    def observe(
        self,
        lights: Lights,
        outcome: Outcome,
        *,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> RowResult:
        """Add one observation to the ledger; `request_id` names the prediction it answers."""
        row = routes.row(lights, outcome, request_id)
        return self.observe_many([row], idempotency_key=idempotency_key).results[0]

    def observe_many(
        self, rows: Iterable[NewObservation], *, idempotency_key: str | None = None
    ) -> RecordResult:
        """Add up to 10,000 observations to the ledger, and return the verdict on each.

        A rejected row is in the result; if all are, the request raises an error. With the
        `idempotency_key` of an earlier request, its result is returned again.
        """
        return self._send(routes.observe(rows, idempotency_key))

    def observations(
        self,
        *,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        version: int | None = None,
        source: str | None = None,
    ) -> Iterator[Observation]:
        """Yield the observations of the ledger that match, oldest first, page by page."""
        for page in self._pages(routes.observations(outcome, since, version, source)):
            yield from page.observations

    def observation(self, number: int) -> Observation:
        """Return an observation, withdrawn or not."""
        return self._send(routes.observation(number))

    def withdraw(self, number: int) -> Observation:
        """Withdraw an observation from later trainings, and return it."""
        return self._send(routes.withdraw(number))

    def retrain(
        self, *, idempotency_key: str | None = None, **retraining: Unpack[Retraining]
    ) -> "Job":
        """Queue a retraining; the arguments are the fields of `POST /retrain`."""
        return self._job(self._send(routes.retrain(retraining, idempotency_key)))

    def job(self, number: int) -> "Job":
        """Return a retraining as it is now."""
        return self._job(self._send(routes.job(number)))

    def jobs(self) -> Iterator["Job"]:
        """Yield the retrainings, newest first, without their error curves."""
        for page in self._pages(routes.jobs()):
            for state in page.jobs:
                yield self._job(state)

    def versions(self) -> Iterator[Version]:
        """Yield the versions, newest first."""
        for page in self._pages(routes.versions()):
            yield from page.versions

    def live(self) -> int | None:
        """Return the number of the live version; `None` if none is live."""
        return self._send(routes.versions(limit=1)).live

    def promote(self, number: int, reason: str | None = None) -> Switched:
        """Make a version live."""
        return self._send(routes.promote(number, reason))

    def rollback(self, reason: str | None = None) -> Switched:
        """Make the previously live version live again; it is sent again only if it wasn't sent."""
        return self._send(routes.rollback(reason))

    def health(self) -> Health:
        """Return the live version of a ready server; raises an error at once if it isn't ready."""
        return self._send(routes.health(), Retry(attempts=1))

    def _send(self, call: Call[R], retry: Retry | None = None, silence: float | None = None) -> R:
        attempts = Attempts(retry or self._server.retry, repeatable=call.repeatable)
        request = self._http.build_request(**self._server.request(call, silence))
        while (delay := attempts.delay(answer := self._answer(request))) is not None:
            time.sleep(delay)
        return call.read(answer)

    def _answer(self, request: httpx.Request) -> Answer:
        try:
            return self._http.send(request)
        except httpx.RequestError as error:
            return error

    def _pages(self, call: Call[P]) -> Iterator[P]:
        while True:
            page = self._send(call)
            yield page
            if page.next is None:
                return
            call = call.after(page.next)

    def _job(self, state: JobState) -> "Job":
        job = Job.model_construct(**vars(state))
        job._client = self
        return job

    def _follow(self, events: JobEvents) -> Iterator[JobState]:
        """Yield each new state; without a stream that works, ask every second."""
        while not events.ended():
            request = self._server.request(routes.job_events(events.job), events.silence())
            with suppress(httpx.RequestError), self._http.stream(**request) as stream:
                if stream.is_success:
                    for text in stream.iter_text():
                        yield from events.feed(text)
            if not events.ended() and (state := events.polled(self._poll(events))):
                yield state
            if not events.ended():
                time.sleep(POLL_SECONDS)

    def _poll(self, events: JobEvents) -> JobState:
        """Return the job, in the time that is left."""
        silence = min(self._server.timeout, events.silence())
        retry = events.bounded(self._server.retry)
        try:
            return self._send(routes.job(events.job.id), retry, silence)
        except UnreachableError:
            events.silence()  # raises TimeoutError if the time is over
            raise


class Job(JobState):
    """A retraining, as it was when the server sent it, and the methods that follow it."""

    _client: Client = PrivateAttr()

    def wait(
        self, timeout: float | None = None, progress: Callable[["Job"], object] | None = None
    ) -> "Job":
        """Return the job when it has succeeded, and call `progress` with each state until then.

        Raises:
            JobFailedError: the job failed, or was cancelled.
            TimeoutError: it hasn't ended after `timeout` seconds.
        """
        job = self
        for job in self.follow(timeout):
            if progress:
                progress(job)
        if job.state != "succeeded":
            raise JobFailedError(job)
        return job

    def follow(self, timeout: float | None = None) -> Iterator["Job"]:
        """Yield the job whenever it has changed, until it has ended.

        Raises:
            TimeoutError: it hasn't ended after `timeout` seconds.
        """
        for state in self._client._follow(JobEvents(self, timeout)):
            yield self._client._job(state)

    def cancel(self) -> "Job":
        """Cancel the job: at once if it is queued, or else at the trainer's next heartbeat."""
        try:
            return self._client._job(self._client._send(routes.cancel(self.id)))
        except ConflictError:
            # It has ended: by this request, if the first response was lost.
            job = self._client.job(self.id)
            if job.state != "cancelled":
                raise
            return job
