"""The errors of the clients: what the server answered, or that it didn't answer."""

import copyreg
from contextlib import suppress
from typing import Any

import httpx

from streetlight.client.results import JobState


class StreetlightError(Exception):
    """The base of the errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the error without `__init__`, which takes a response or a job."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class UnreachableError(StreetlightError):
    """No complete response came; the request may have had its effect nevertheless."""


class ResponseError(StreetlightError):
    """The response is an error, or isn't what was expected.

    Attributes:
        status: the status of the response.
        message: the server's sentence.
        details: the invalid fields of the request, each with `field`, `message` and `got`.
        request_id: the id of the request, which the log of the server has, too.
        body: the parsed body; `None` if it isn't JSON.
    """

    def __init__(self, response: httpx.Response, message: str = "") -> None:
        self.status = response.status_code
        self.request_id = response.headers.get("X-Request-ID")
        self.body: Any = None
        with suppress(ValueError, RecursionError):  # a proxy answers in HTML, or in JSON of its own
            self.body = response.json()
        body = self.body if isinstance(self.body, dict) else {}
        self.message = message or str(body.get("error") or response.reason_phrase)
        self.details: list[dict[str, Any]] = body.get("details") or []
        request_id = f", request {self.request_id}" if self.request_id else ""
        super().__init__(
            f"{self.message} ({self.status} to {describe(response.request)}{request_id})"
        )


class BadRequestError(ResponseError):
    """400: a field of the request is invalid."""


class UnauthorizedError(ResponseError):
    """401: the API key is missing or wrong."""


class ForbiddenError(ResponseError):
    """403: the API key doesn't have the right."""


class NotFoundError(ResponseError):
    """404: there is no such observation, job or version, or no such route."""


class ConflictError(ResponseError):
    """409: the request contradicts the state of the server."""


class UnavailableError(ResponseError):
    """503: the server can't answer now."""


class JobFailedError(StreetlightError):
    """A retraining failed or was cancelled; `job` is the retraining."""

    def __init__(self, job: JobState) -> None:
        # Without the connections of its client, which can't be pickled.
        self.job = JobState.model_construct(**vars(job))
        super().__init__(f"job {job.id} {job.state}{f': {job.error}' if job.error else ''}")


BY_STATUS: dict[int, type[ResponseError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    503: UnavailableError,
}


def describe(request: httpx.Request) -> str:
    """Return the method and the URL of a request, without a password in it."""
    return f"{request.method} {request.url.copy_with(userinfo=b'')}"


def error_of(response: httpx.Response) -> ResponseError:
    """Return the error of a response whose status isn't 2xx."""
    message = ""
    if response.has_redirect_location:
        message = f"redirected to {response.headers['Location']}; use the address that answers"
    return BY_STATUS.get(response.status_code, ResponseError)(response, message)
