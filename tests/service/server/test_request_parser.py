"""Tests of the request parser: what it reads, what it rejects, and when."""

from collections.abc import Iterator

import pytest

from streetlight.service.server import request_parser
from streetlight.service.server.request_parser import ReceivedRequest, RequestParser

MAX_BODY = 1_000_000
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\n"


def parse(data: bytes, step: int = 10**9) -> RequestParser:
    """Feed `data` to a new parser, at most `step` bytes at once, as a connection does."""
    parser = RequestParser(MAX_BODY)
    while data and not parser.rejection:
        if (space := parser.free_space()) is not None:
            size = min(step, len(space), len(data))
            space[:size] = data[:size]
            parser.received(size)
        else:
            size = min(step, parser.step)
            parser.feed(data[:size])
        data = data[size:]
    return parser


def read(data: bytes, step: int = 10**9) -> Iterator[tuple[str, bytes, bytes]]:
    """Return the method, target and body of each request."""
    parser = parse(data, step)
    assert parser.rejection is None
    assert not parser.in_message
    return ((r.method, r.target, bytes(r.body)) for r in parser.completed)


def only(data: bytes) -> ReceivedRequest:
    """Return the one request in `data`."""
    [request] = parse(data).completed
    return request


LARGE = b"x" * (request_parser.LARGE_BODY + 10)
SEQUENCES = {
    "one": (GET + b"\r\n", [("GET", b"/livez", b"")]),
    "empty line first": (b"\r\n" + GET + b"\r\n", [("GET", b"/livez", b"")]),
    "body": (POST + b"Content-Length: 2\r\n\r\n{}", [("POST", b"/predict", b"{}")]),
    "chunks and a trailer": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n",
        [("POST", b"/predict", b"{}")],
    ),
    "an upgrade that isn't offered": (
        GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n" + GET + b"\r\n",
        [("GET", b"/livez", b"")] * 2,
    ),
    "an upgrade with a body": (
        (POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}") * 2,
        [("POST", b"/predict", b"{}")] * 2,
    ),
    "large": (
        (POST + b"Content-Length: %d\r\n\r\n%s" % (len(LARGE), LARGE) + GET + b"\r\n") * 2,
        [("POST", b"/predict", LARGE), ("GET", b"/livez", b"")] * 2,
    ),
    "closed": (GET + b"Connection: close\r\n\r\n" + GET + b"\r\n", [("GET", b"/livez", b"")]),
}


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("step", [1, 7, 4096, 10**9])
def test_requests_are_read_in_order(name: str, step: int) -> None:
    data, expected = SEQUENCES[name]
    if name == "closed":
        # What follows a request with `Connection: close` isn't passed to the parser.
        data = data[: len(data) // 2 + 11] if step < 4096 else data
    assert list(read(data, step)) == expected


def test_a_head_has_its_headers_by_name() -> None:
    request = only(GET + b"X-A: 1\r\nx-a: 2\r\nX_A: 3\r\nAccept:  text/csv \t\r\n\r\n")
    assert request.headers == {
        b"host": b"x",
        b"x-a": b"1,2",
        b"accept": b"text/csv",
    }


@pytest.mark.parametrize(
    ("version", "header", "keep_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: a, CLOSE\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_kept_as_its_client_says(
    version: bytes, header: bytes, keep_alive: bool
) -> None:
    data = b"GET / HTTP/%s\r\nHost: x\r\n%s\r\n" % (version, header)
    assert only(data).keep_alive == keep_alive


def test_a_trailer_that_closes_the_connection_is_not_kept_from_the_server() -> None:
    """The parser accepts nothing after it, so a proxy must not send another client's request."""
    chunks = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n%s\r\n"
    assert only(chunks % b"").keep_alive
    assert only(chunks % b"X: y\r\n").keep_alive
    assert not only(chunks % b"Connection: close\r\n").keep_alive


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REJECTED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 400),
    "CONNECT": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "empty lines": (b"\r\n\r\n", 400),
    "two hosts": (GET + b"Host: x\r\n\r\n", 400),
    "two content types": (GET + b"Content-Type: a\r\nContent-Type: a\r\n\r\n", 400),
    "long line": (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 4081), 414),
    "long header": (GET + b"X: %s\r\n\r\n" % (b"y" * 8188), 431),
    "many headers": (GET + b"X: y\r\n" * 100 + b"\r\n", 431),
    "much of few headers": (GET + (b"X: %s\r\n" % (b"y" * 8000)) * 9 + b"\r\n", 431),
    "endless header": (GET + b"X: " + b"y" * 100_000, 431),
    "coding in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0"), 400),
    "two codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "coding and length": (CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n", 400),
    "too long": (POST + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
    "too long for a number": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    "too long in chunks": (CHUNKED + (b"ffff\r\n%s\r\n" % (b"x" * 0xFFFF)) * 16, 413),
    "small chunks": (CHUNKED + b"1\r\nx\r\n" * 20_000, 400),
    "endless chunk size": (CHUNKED + b"1;" + b"x" * 100_000, 400),
    "endless trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 20_000, 400),
    "expectation": (GET + b"Expect: tea\r\n\r\n", 417),
}


@pytest.mark.parametrize("name", REJECTED)
@pytest.mark.parametrize("step", [1000, 10**9])
def test_a_request_that_breaks_a_rule_is_rejected(name: str, step: int) -> None:
    data, status = REJECTED[name]
    first = GET + b"\r\n" if name != "empty lines" else b""
    parser = parse(first + data, step)
    assert parser.rejection is not None
    assert parser.rejection.status == status
    # The request before it was received.
    assert [request.target for request in parser.completed] == [b"/livez"] * bool(first)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 4080),
        GET + b"X: %s\r\n\r\n" % (b"y" * 8187),
        GET + b"X: y\r\n" * 99 + b"\r\n",
        GET + (b"X: %s\r\n" % (b"y" * 8000)) * 8 + b"\r\n",
        POST + b"Content-Length: %d\r\n\r\n%s" % (MAX_BODY, b"x" * MAX_BODY),
        CHUNKED + (b"40\r\n%s\r\n" % (b"x" * 64)) * 15_000 + b"0\r\n\r\n",
        CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n",
    ],
)
def test_a_request_within_the_limits_is_read(data: bytes) -> None:
    assert len(list(read(data))) == 1


def test_a_client_that_waits_for_100_continue_is_noticed() -> None:
    head = POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    assert parse(head).expects_continue
    assert not parse(head + b"{}").expects_continue
    assert not parse(head.replace(b"1.1", b"1.0")).expects_continue


def test_a_large_body_is_received_where_the_application_reads_it() -> None:
    parser = parse(POST + b"Content-Length: %d\r\n\r\n123" % len(LARGE))
    assert parser.large
    space = parser.free_space()
    assert space is not None
    space[:] = LARGE[3:]
    parser.received(len(space))
    [request] = parser.completed
    assert isinstance(request.body, memoryview)
    assert bytes(request.body) == b"123" + LARGE[3:]
    assert parser.free_space() is None
    assert not parser.large
