"""A client of the service: `Client`, and `AsyncClient` for asyncio.

It imports httpx, pydantic and the standard library, nothing of the server: the extra `client`
installs it. `routes` says which request each method sends, and `results` what it returns; `retry`
decides which requests are sent again, and `job_events` reads the events of a job. These know of no
connection: `blocking` and `asynchronous` send the requests.
"""

try:
    from streetlight.client.asynchronous import AsyncClient, AsyncJob
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error}; install it with the extra `client`: pip install 'streetlight[client]'",
        name=error.name,
    ) from None
from streetlight.client.blocking import Client, Job
from streetlight.client.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    JobFailedError,
    NotFoundError,
    ResponseError,
    StreetlightError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from streetlight.client.retry import Retry
from streetlight.client.routes import NewObservation, Retraining

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "BadRequestError",
    "Client",
    "ConflictError",
    "ForbiddenError",
    "Job",
    "JobFailedError",
    "NewObservation",
    "NotFoundError",
    "ResponseError",
    "Retraining",
    "Retry",
    "StreetlightError",
    "UnauthorizedError",
    "UnavailableError",
    "UnreachableError",
]
