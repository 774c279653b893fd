"""The server reads malformed and pipelined requests as h11 does, or refuses them."""

import contextlib
import secrets
import socket
from itertools import zip_longest

import pytest

from tests.conftest import STORM
from tests.server import DEADLINE, Server
from tests.service.conftest import ROUNDS
from tests.service.server.mutated_requests import (
    LIGHTS,
    Response,
    mutated_requests,
    plain_request,
    read_by_h11,
    read_responses,
)

pytestmark = pytest.mark.process


def exchange(server: Server, *parts: bytes) -> list[Response]:
    """Send bytes, shut down writing, and return the responses until the server closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
        while data := client.recv(65536):
            received += data
    return read_responses(received)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_server_reads_requests_as_h11_does(target: Server, rounds: int) -> None:
    scores = [exchange(target, plain_request(b"x", light))[0].score for light in LIGHTS]
    assert len(set(scores)) == len(LIGHTS)
    first = secrets.randbits(32) if STORM else 0
    count, succeeded, refused = max(600, 70 * rounds), 0, 0
    wrong = []
    for seed in range(first, first + count):
        data = mutated_requests(seed)
        at = seed % len(data)
        responses = exchange(target, data[:at], data[at:])
        assert responses, (seed, data)
        for response, request in zip_longest(responses, read_by_h11(data)):
            if response is None or response.status >= 400:
                refused += 1
                continue
            succeeded += 1
            read_alike = request is not None and (
                (request.light is not None and response.score == scores[request.light])
                and (request.request_id in (None, response.headers[b"x-request-id"]))
            )
            if not read_alike:
                wrong.append(f"seed {seed}: {data!r}\nh11 reads {request}, we answer {response}")
    print(f"{count} inputs from seed {first}: {succeeded} requests answered, {refused} refused")
    assert not wrong, f"{len(wrong)} requests:\n" + "\n".join(wrong[:20])
    assert succeeded > count / 3
    assert refused > count / 3
