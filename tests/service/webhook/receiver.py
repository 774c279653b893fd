"""A receiver of webhooks for tests: an HTTP server that keeps what it gets, and answers as told."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.server import DEADLINE

# By which the receiver and the sender know each other.
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"  # noqa: S105 - of the tests only


@dataclass(frozen=True)
class Request:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Listens on the loopback interface, from `with` to the end of its block.

    `answer` gets the number of the request, from 0 on, and returns the status, or a pair of status
    and headers.
    """

    def __init__(
        self, answer: Callable[[int], int | tuple[int, dict[str, str]]] = lambda _: 204
    ) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, dict(self.headers), body)
                with receiver._lock:
                    number = len(receiver.requests)
                    receiver.requests.append(request)
                answer = receiver.answer(number)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                content = b"" if status == 204 else b"so it is answered"
                with suppress(OSError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    if content:
                        self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def ids(self) -> list[str]:
        """The ids of the events that came, in this order, with repetitions."""
        return [request.headers["webhook-id"] for request in self.requests]

    def events(self, kind: str) -> list[Any]:
        """The data of the events of one type, each once, in the order in which they came."""
        found = {r.headers["webhook-id"]: r.payload for r in self.requests}
        return [payload["data"] for payload in found.values() if payload["type"] == kind]

    def wait_for(self, kind: str, count: int = 1) -> list[Any]:
        """Wait for so many events of one type."""
        deadline = time.monotonic() + DEADLINE
        while len(found := self.events(kind)) < count:
            assert time.monotonic() < deadline, f"{self.requests} after {DEADLINE} s"
            time.sleep(0.02)
        return found


class RawReceiver:
    """Answers each connection with what `act` does with it; `port` is its port."""

    def __init__(self, act: Callable[[socket.socket], object]) -> None:
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                with connection, suppress(OSError):
                    connection.settimeout(DEADLINE)
                    self._act(connection)

    def __exit__(self, *_exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
