"""`Call`: one request of a client and how its response is read; the server it goes to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import httpx
from pydantic import ValidationError

from streetlight.client.errors import ResponseError, UnreachableError, describe, error_of
from streetlight.client.results import Result
from streetlight.client.retry import Answer, Retry

R = TypeVar("R", bound=Result)

# Seconds to wait for a connection.
CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True)
class Call(Generic[R]):
    """A request, and the type of its result.

    Attributes:
        method: the method.
        path: the path below the server's URL.
        result: what the body of the response is.
        params: the query string; `None` is left out.
        body: what is sent as JSON; `None` for no body.
        headers: the headers of this request.
        repeatable: whether the request may be sent again after the server may have received it.
        has_request_id: whether the result names the request.
    """

    method: str
    path: str
    result: type[R]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    has_request_id: bool = False

    def after(self, last: int) -> "Call[R]":
        """Return the call for the next page of a list."""
        return replace(self, params={**self.params, "after": last})

    def read(self, answer: Answer) -> R:
        """Return the result in a response.

        Raises:
            UnreachableError: there is no response.
            ResponseError: the response is an error, or not of the type of the result.
        """
        if isinstance(answer, httpx.RequestError):
            message = str(answer) or type(answer).__name__
            raise UnreachableError(f"{describe(answer.request)}: {message}") from answer
        if not answer.is_success:
            raise error_of(answer)
        try:
            result = self.result.model_validate_json(answer.content)
        except ValidationError as error:
            kind, got = self.result.__name__, answer.headers.get("Content-Type", "no body")
            raise ResponseError(
                answer,
                f"expected a {kind} as JSON, got {got}; is this the URL of a Streetlight server?",
            ) from error
        if self.has_request_id:
            request_id = answer.headers.get("X-Request-ID")
            result = result.model_copy(update={"request_id": request_id})
        return result


@dataclass(frozen=True)
class Server:
    """Where a client sends its requests, and how.

    Attributes:
        url: the URL of the server, with the prefix that a proxy gives it.
        api_key: the key; `None` for no key.
        timeout: seconds to wait for each part of a response.
        retry: when to send a request again.
    """

    url: str
    api_key: str | None = field(repr=False)
    timeout: float
    retry: Retry

    def __post_init__(self) -> None:
        """Raise `ValueError` if requests can't be sent to the URL, or with the key."""
        if not (self.api_key or "").isprintable():  # httpx would name the key in its error
            raise ValueError("api_key: expected printable characters, without a line feed")
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ValueError(f"url: {error}") from None
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            expected = "expected the address of a server, such as http://127.0.0.1:8000"
            raise ValueError(f"url: {expected}, got {str(url.copy_with(userinfo=b''))!r}")

    def request(self, call: Call[R], silence: float | None = None) -> dict[str, Any]:
        """Return the arguments of httpx's `build_request` and `stream`.

        `silence` is for how many seconds to wait for each part of the response, if not `timeout`.
        """
        read = self.timeout if silence is None else silence
        headers: dict[str, str | bytes] = dict(call.headers)
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}".encode()
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(call.body, default=_plain, allow_nan=False)
        return {
            "method": call.method,
            "url": self.url.rstrip("/") + call.path,
            "params": {name: value for name, value in call.params.items() if value is not None},
            "content": content,
            "headers": headers,
            "timeout": httpx.Timeout(
                self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT, read), read=read
            ),
        }


def _plain(value: Any) -> Any:  # noqa: ANN401 - an array of any library
    """Return an array or a number of numpy as JSON's types."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"expected a value that JSON has, got {value!r}")
    return value.tolist()
