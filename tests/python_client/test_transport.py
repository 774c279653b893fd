"""What the client sends and reads, without a server."""

import json
import pickle

import httpx
import numpy as np
import pytest

from streetlight.client import (
    AsyncClient,
    Client,
    JobFailedError,
    NotFoundError,
    ResponseError,
    Retry,
)
from streetlight.client.job_events import JobEvents
from streetlight.client.results import JobState
from streetlight.client.retry import Attempts

PREDICTION = {"decision": "walk", "score": 1.0, "version": 1, "of_a_newer_server": True}


def client_of(*responses: httpx.Response) -> tuple[Client, list[httpx.Request]]:
    """Return a client that gets these responses, and the list of its requests."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return responses[len(requests) - 1]

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return Client("https://corner.example/prefix", api_key="sécret", http=http), requests


def job(state: str, revision: int) -> dict[str, object]:
    """Return a job as JSON."""
    known = {"id": 1, "state": state, "revision": revision, "attempt": 1, "recipe": {}}
    more = {"trigger": "request", "submitted_at": 0, "cancel_requested": False}
    # Python's splitlines would split at the last two characters; the stream doesn't.
    return dict.fromkeys(JobState.model_fields) | known | more | {"error": "in \u2028\x85"}


def test_numbers_and_arrays_of_numpy_are_sent_as_json() -> None:
    client, requests = client_of(*[httpx.Response(200, json=PREDICTION)] * 2)
    client.predict(np.array([1, 0, 1]))
    client.predict([np.int64(1), np.float32(0.5), True])  # type: ignore[list-item]
    assert [request.content for request in requests] == [
        b'{"lights": [1, 0, 1]}',
        b'{"lights": [1, 0.5, true]}',
    ]
    with pytest.raises(TypeError, match="expected a value that JSON has, got <object"):
        client.predict([object()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="JSON compliant"):
        client.predict([float("nan")])


def test_a_request_has_the_prefix_and_the_key() -> None:
    client, requests = client_of(httpx.Response(200, json=PREDICTION))
    prediction = client.predict([1, 0, 1])
    assert (prediction.decision, prediction.request_id) == ("walk", None)
    assert str(requests[0].url) == "https://corner.example/prefix/predict"
    assert (b"Authorization", "Bearer sécret".encode()) in requests[0].headers.raw
    with pytest.raises(ValueError, match="frozen"):
        prediction.version = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "expected the address of a server, .*, got '127.0.0.1:8000'"),
        ("localhost:8000", "expected the address"),
        ("", "expected the address"),
        ("ftp://corner.example", "expected the address"),
        ("http://corner.example/?a=b", "expected the address"),
        ("http://corner.example:port", "Invalid port: 'port'"),
        ("ftp://me:word@corner.example", "got 'ftp://corner.example'"),
    ],
)
def test_an_url_to_which_nothing_can_be_sent_is_an_error(url: str, message: str) -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(ValueError, match=f"^url: .*{message}"):
            client(url)


@pytest.mark.parametrize("key", ["secret\n", "secret\x00"])
def test_a_key_that_no_header_can_have_is_an_error_without_it(key: str) -> None:
    with pytest.raises(ValueError, match=r"^api_key: expected printable") as caught:
        Client("https://corner.example", api_key=key)
    assert "secr" not in str(caught.value)


def test_an_event_that_the_end_of_a_connection_cuts_is_left_out() -> None:
    text = json.dumps(job("running", 2), ensure_ascii=False)
    event = f"id: 2\nevent: job\ndata: {text}\n\n: still here\n\n"
    client, requests = client_of(
        httpx.Response(202, json=job("queued", 1)),
        httpx.Response(200, text=event + event[:40]),
        httpx.Response(200, json=job("running", 3)),
        httpx.Response(200, text="retry: 1000\n\nevent: end\ndata: {}\n\n"),
        httpx.Response(200, json=job("succeeded", 4)),
    )
    states = [(state.state, state.revision) for state in client.retrain().follow(10)]
    assert states == [("running", 2), ("running", 3), ("succeeded", 4)]
    assert [r.headers.get("Last-Event-ID") for r in requests] == [None, "1", None, "3", None]


def test_the_last_state_of_a_job_may_come_late() -> None:
    running, ended = map(JobState.model_validate, (job("running", 1), job("succeeded", 2)))
    late = JobEvents(running, timeout=0)
    with pytest.raises(TimeoutError, match="job 1 is running after 0 s"):
        late.polled(running)
    assert late.polled(ended) == ended


def test_no_secret_is_in_a_text() -> None:
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    client = Client("https://me:word@corner.example", api_key="secret", http=http)
    with pytest.raises(ResponseError) as caught:
        client.live()
    assert "(500 to GET https://corner.example/versions?limit=1)" in str(caught.value)
    assert "secret" not in repr(vars(client))


def test_errors_can_be_pickled() -> None:
    client, _ = client_of(
        httpx.Response(404, json={"error": "no job 1"}), httpx.Response(200, json=job("failed", 1))
    )
    with pytest.raises(NotFoundError) as missing:
        client.job(1)
    with pytest.raises(JobFailedError) as failed:
        client.job(1).wait()
    for error in (missing.value, failed.value):
        other = pickle.loads(pickle.dumps(error))  # noqa: S301 - of this test
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(404, html="<h1>Not here</h1>"), "Not Found (404 to GET"),
        (httpx.Response(404, json=["an", "error"]), "Not Found (404 to GET"),
        (httpx.Response(404, content=b"{", headers={"Content-Type": "application/json"}), "Not F"),
        (httpx.Response(404, json={"error": {"of": 1}, "details": None}), "{'of': 1} (404 to GET"),
        (httpx.Response(500, content=b"[" * 100_000), "Internal Server Error (500 to GET"),
        (httpx.Response(308, headers={"Location": "https://x"}), "redirected to https://x; use"),
        (httpx.Response(200, html="<h1>Hello</h1>"), "expected a JobState as JSON, got text/html"),
        (httpx.Response(200, json={"id": 1}), "expected a JobState as JSON, got application/json"),
    ],
)
def test_a_response_of_something_else_is_an_error(response: httpx.Response, message: str) -> None:
    client, _ = client_of(response)
    with pytest.raises(ResponseError) as caught:
        client.job(1)
    assert str(caught.value).startswith(message)
    assert caught.value.details == []


def test_delays_double_and_end_with_the_attempts_and_the_time() -> None:
    refused = httpx.ConnectError("refused")
    attempts = Attempts(Retry(attempts=8, seconds=60), repeatable=False)
    delays = [attempts.delay(refused) for _ in range(8)]
    for delay, longest in zip(delays, (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0), strict=False):
        assert delay
        assert longest / 2 <= delay <= longest
    assert delays[7] is None

    attempts = Attempts(Retry(seconds=3), repeatable=True)
    wait = httpx.Response(503, headers={"Retry-After": "2"})
    assert attempts.delay(wait) == 2
    assert attempts.delay(httpx.Response(503, headers={"Retry-After": "4"})) is None


@pytest.mark.parametrize(
    ("answer", "repeatable", "once"),
    [
        (httpx.ConnectTimeout(""), True, True),
        (httpx.ReadTimeout(""), True, False),
        (httpx.RemoteProtocolError(""), True, False),
        (httpx.Response(503), True, False),
        (httpx.Response(429), True, False),
        (httpx.Response(500), False, False),
        (httpx.Response(409), False, False),
        (httpx.UnsupportedProtocol(""), False, False),
        (httpx.DecodingError(""), False, False),
    ],
)
def test_only_what_may_change_is_sent_again(
    answer: httpx.Response | httpx.RequestError, repeatable: bool, once: bool
) -> None:
    assert (Attempts(Retry(), repeatable=True).delay(answer) is not None) is repeatable
    assert (Attempts(Retry(), repeatable=False).delay(answer) is not None) is once
