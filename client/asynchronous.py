"""`AsyncClient`: the same client for asyncio; `blocking` has the one that waits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
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


class AsyncClient:
    """A client of the server at `url`, for asyncio.

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
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._server = Server(url, api_key, timeout, retry)
        self._own_http = http is None
        self._http = http or httpx.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own_http:
            await self._http.aclose()

    async def predict(self, lights: Lights) -> Prediction:
        """Return the live version's decision for one light state."""
        return await self._send(routes.predict(lights))

    async def predict_batch(self, lights: Sequence[Lights] | Array) -> BatchPrediction:
        """Return the live version's decisions for many light states, in their order."""
        return await self._send(routes.predict_batch(lights))

    async def explain(self, lights: Lights, version: int | None = None) -> Explanation:
        """Return how a version, by default the live one, computes its score for a light state."""
        return await self._send(routes.explain(lights, version))

    async def observe(
        self,
        lights: Lights,
        outcome: Outcome,
        *,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> RowResult:
        """Add one observation to the ledger; `request_id` names the prediction it answers."""
        row = routes.row(lights, outcome, request_id)
        result = await self.observe_many([row], idempotency_key=idempotency_key)
        return result.results[0]

    async def observe_many(
        self, rows: Iterable[NewObservation], *, idempotency_key: str | None = None
    ) -> RecordResult:
        """Add up to 10,000 observations to the ledger, and return the verdict on each.

        A rejected row is in the result; if all are, the request raises an error. With the
        `idempotency_key` of an earlier request, its result is returned again.
        """
        return await self._send(routes.observe(rows, idempotency_key))

    async def observations(
        self,
        *,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        version: int | None = None,
        source: str | None = None,
    ) -> AsyncIterator[Observation]:
        """Yield the observations of the ledger that match, oldest first, page by page."""
        async for page in self._pages(routes.observations(outcome, since, version, source)):
            for item in page.observations:
                yield item

    async def observation(self, number: int) -> Observation:
        """Return an observation, withdrawn or not."""
        return await self._send(routes.observation(number))

    async def withdraw(self, number: int) -> Observation:
        """Withdraw an observation from later trainings, and return it."""
        return await self._send(routes.withdraw(number))

    async def retrain(
        self, *, idempotency_key: str | None = None, **retraining: Unpack[Retraining]
    ) -> "AsyncJob":
        """Queue a retraining; the arguments are the fields of `POST /retrain`."""
        return self._job(await self._send(routes.retrain(retraining, idempotency_key)))

    async def job(self, number: int) -> "AsyncJob":
        """Return a retraining as it is now."""
        return self._job(await self._send(routes.job(number)))

    async def jobs(self) -> AsyncIterator["AsyncJob"]:
        """Yield the retrainings, newest first, without their error curves."""
        async for page in self._pages(routes.jobs()):
            for state in page.jobs:
                yield self._job(state)

    async def versions(self) -> AsyncIterator[Version]:
        """Yield the versions, newest first."""
        async for page in self._pages(routes.versions()):
            for item in page.versions:
                yield item

    async def live(self) -> int | None:
        """Return the number of the live version; `None` if none is live."""
        return (await self._send(routes.versions(limit=1))).live

    async def promote(self, number: int, reason: str | None = None) -> Switched:
        """Make a version live."""
        return await self._send(routes.promote(number, reason))

    async def rollback(self, reason: str | None = None) -> Switched:
        """Make the previously live version live again; it is sent again only if it wasn't sent."""
        return await self._send(routes.rollback(reason))

    async def health(self) -> Health:
        """Return the live version of a ready server; raises an error at once if it isn't ready."""
        return await self._send(routes.health(), Retry(attempts=1))

    async def _send(
        self, call: Call[R], retry: Retry | None = None, silence: float | None = None
    ) -> R:
        attempts = Attempts(retry or self._server.retry, repeatable=call.repeatable)
        request = self._http.build_request(**self._server.request(call, silence))
        while (delay := attempts.delay(answer := await self._answer(request))) is not None:
            await asyncio.sleep(delay)
        return call.read(answer)

    async def _answer(self, request: httpx.Request) -> Answer:
        try:
            return await self._http.send(request)
        except httpx.RequestError as error:
            return error

    async def _pages(self, call: Call[P]) -> AsyncIterator[P]:
        while True:
            page = await self._send(call)
            yield page
            if page.next is None:
                return
            call = call.after(page.next)

    def _job(self, state: JobState) -> "AsyncJob":
        job = AsyncJob.model_construct(**vars(state))
        job._client = self
        return job

    async def _follow(self, events: JobEvents) -> AsyncIterator[JobState]:
        """Yield each new state; without a stream that works, ask every second."""
        while not events.ended():
            request = self._server.request(routes.job_events(events.job), events.silence())
            with suppress(httpx.RequestError):
                async with self._http.stream(**request) as stream:
                    if stream.is_success:
                        async for text in stream.aiter_text():
                            for new in events.feed(text):
                                yield new
            if not events.ended() and (state := events.polled(await self._poll(events))):
                yield state
            if not events.ended():
                await asyncio.sleep(POLL_SECONDS)

    async def _poll(self, events: JobEvents) -> JobState:
        """Return the job, in the time that is left."""
        silence = min(self._server.timeout, events.silence())
        retry = events.bounded(self._server.retry)
        try:
            return await self._send(routes.job(events.job.id), retry, silence)
        except UnreachableError:
            events.silence()  # raises TimeoutError if the time is over
            raise


class AsyncJob(JobState):
    """A retraining, as it was when the server sent it, and the methods that follow it."""

    _client: AsyncClient = PrivateAttr()

    async def wait(
        self, timeout: float | None = None, progress: Callable[["AsyncJob"], object] | None = None
    ) -> "AsyncJob":
        """Return the job when it has succeeded, and call `progress` with each state until then.

        Raises:
            JobFailedError: the job failed, or was cancelled.
            TimeoutError: it hasn't ended after `timeout` seconds.
        """
        job = self
        async for job in self.follow(timeout):
            if progress:
                progress(job)
        if job.state != "succeeded":
            raise JobFailedError(job)
        return job

    async def follow(self, timeout: float | None = None) -> AsyncIterator["AsyncJob"]:
        """Yield the job whenever it has changed, until it has ended.

        Raises:
            TimeoutError: it hasn't ended after `timeout` seconds.
        """
        async for state in self._client._follow(JobEvents(self, timeout)):
            yield self._client._job(state)

    async def cancel(self) -> "AsyncJob":
        """Cancel the job: at once if it is queued, or else at the trainer's next heartbeat."""
        try:
            return self._client._job(await self._client._send(routes.cancel(self.id)))
        except ConflictError:
            # It has ended: by this request, if the first response was lost.
            job = await self._client.job(self.id)
            if job.state != "cancelled":
                raise
            return job
