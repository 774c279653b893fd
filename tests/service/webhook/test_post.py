"""A request to a receiver: its addresses, its end within a bounded time, TLS, and redirects."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streetlight.service.webhook import addresses
from streetlight.service.webhook import post as module
from streetlight.service.webhook.post import PostError, Reply, post
from tests.service.webhook.receiver import RawReceiver, Receiver

LOOP = asyncio.BaseEventLoop


def send(url: str, *, private: bool = True) -> Reply:
    return asyncio.run(post(url, {"webhook-id": "msg_1"}, b'{"type": "test"}', private=private))


@contextmanager
def named(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Iterator[list[str]]:
    """Let each look for a name give the next of the answers; yield the names."""
    names: list[str] = []

    async def getaddrinfo(_loop: object, host: str, port: int, **_: object) -> list[Any]:
        try:
            socket.inet_pton(socket.AF_INET, host)
        except OSError:
            names.append(host)
            found = answers[len(names) - 1]
        else:
            found = [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(LOOP, "getaddrinfo", getaddrinfo)
    yield names


def test_a_request_has_its_body_and_headers() -> None:
    with Receiver() as receiver:
        reply = send(f"{receiver.url}?token=x")
    assert (reply.status, reply.excerpt) == (204, b"")
    [request] = receiver.requests
    assert (request.path, request.body) == ("/hook?token=x", b'{"type": "test"}')
    assert request.headers["Host"] == receiver.url.split("/")[2]
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("streetlight/")
    assert request.headers["webhook-id"] == "msg_1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_refused_in_any_form(host: str) -> None:
    with Receiver() as receiver:
        with pytest.raises(PostError, match="STREETLIGHT_WEBHOOK_PRIVATE=true") as error:
            send(receiver.url.replace("127.0.0.1", host), private=False)
        assert "hook" not in str(error.value)
    assert receiver.requests == []


def test_one_private_address_among_others_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        named(monkeypatch, ["1.1.1.1", "169.254.169.254"]),
        pytest.raises(PostError, match=r"receiver\.test has the address 169\.254\.169\.254"),
    ):
        send("http://receiver.test/", private=False)


def test_the_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another answer for the connection would be an address that was not checked."""
    connected: list[object] = []

    async def connect(_loop: object, _factory: object, host: str, port: int, **_: object) -> None:
        connected.append((host, port))
        raise OSError("no route")

    monkeypatch.setattr(LOOP, "create_connection", connect)
    answers = (["1.1.1.1", "1.0.0.1"], ["127.0.0.1"])
    with named(monkeypatch, *answers) as names, pytest.raises(PostError, match="no route"):
        send("http://receiver.test:81/", private=False)
    assert names == ["receiver.test"]
    assert connected == [("1.1.1.1", 81), ("1.0.0.1", 81)]


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver, named(monkeypatch, ["127.0.0.9", "127.0.0.1"]):
        assert send(receiver.url.replace("127.0.0.1", "receiver.test")).status == 204


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with Receiver() as other:
        with Receiver(lambda _: (status, {"Location": other.url})) as receiver:
            assert send(receiver.url).status == status
        assert other.requests == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Receiver() as receiver:
        assert send(receiver.url).status == 204


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (b"", "closed the connection before the end"),
        (b"HTTP/1.1 200", "closed the connection before the end"),
        (b"220 mail.example ESMTP\r\n", "malformed response"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc", "malformed"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, "head of more than 65536 bytes"),
    ],
)
def test_no_complete_head_is_an_error(response: bytes, message: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(response)

    with RawReceiver(answer) as receiver, pytest.raises(PostError, match=message):
        send(receiver.url)


def drip(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nA: "])
def test_a_receiver_that_drips_is_left(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    with RawReceiver(lambda connection: drip(connection, head)) as receiver:
        started = time.monotonic()
        with pytest.raises(PostError, match=r"malformed|no complete response within 0\.3 s"):
            send(receiver.url)
        assert time.monotonic() - started < 3


def test_a_name_server_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(addresses, "LOOKUP_TIMEOUT", 0.1)
    monkeypatch.setattr(LOOP, "getaddrinfo", getaddrinfo)
    with pytest.raises(PostError, match=r"no name server has answered within 0\.1 s"):
        send("http://receiver.test/")


def test_a_success_needs_no_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 20)
    with RawReceiver(lambda c: drip(c, b"HTTP/1.1 200 OK\r\n\r\n")) as receiver:
        started = time.monotonic()
        assert send(receiver.url).status == 200
        assert time.monotonic() - started < 10


def test_of_a_failure_the_beginning_of_the_body_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nRetry-After: 7\r\n\r\n"
    with RawReceiver(lambda c: c.sendall(head + b"a" * 1_000_000)) as receiver:
        reply = send(receiver.url)
    assert (reply.status, reply.retry_after, len(reply.excerpt)) == (500, 7, 200)
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    with RawReceiver(lambda c: drip(c, head)) as receiver:
        assert send(receiver.url).status == 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", 120), ("9" * 99, 999_999_999), ("-5", 0), ("soon", 0), ("", 0),
        ("Fri, 01 Jan 2016 00:00:00 GMT", 0), ("Fri, 31 Dec 99999 00:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_retry_after_is_read(text: str, expected: float) -> None:
    assert module._seconds(text) == expected


def test_retry_after_may_be_a_date() -> None:
    assert module._seconds("Fri, 01 Jan 2999 00:00:00 GMT") > 1e9


@contextmanager
def tls_receiver(folder: Path, name: str) -> Iterator[int]:
    """Yield the port of a receiver with a certificate for `name`, which is in `folder`."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    command += f" -subj /CN=x -addext subjectAltName=DNS:{name}"
    command += f" -keyout {folder / 'key'} -out {folder / 'cert'}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert", folder / "key")
    with Receiver() as receiver:
        receiver.server.socket = context.wrap_socket(
            receiver.server.socket, server_side=True, do_handshake_on_connect=False
        )
        yield receiver.server.server_port


@pytest.mark.process
def test_the_certificate_has_to_be_that_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        tls_receiver(tmp_path, "receiver.test") as port,
        named(monkeypatch, *3 * [["127.0.0.1"]]),
    ):
        with pytest.raises(PostError, match="certificate isn't valid: self-signed certificate"):
            send(f"https://receiver.test:{port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        assert send(f"https://receiver.test:{port}/").status == 204
        with pytest.raises(PostError, match="certificate isn't valid: Hostname mismatch"):
            send(f"https://other.test:{port}/")
        with pytest.raises(PostError, match=r"can't reach|malformed|closed the connection"):
            send(f"http://127.0.0.1:{port}/")
    with Receiver() as plain, pytest.raises(PostError, match="can't reach the receiver"):
        send(plain.url.replace("http:", "https:"))
