"""A proxy in front of a server, which loses, delays or replaces responses."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.server import Server

PREFIX = "/corner/v7"


class Proxy(ThreadingHTTPServer):
    """Forwards requests below `PREFIX`, and does one of `faults` to each request, in order.

    A fault is `"lose"`, which forwards the request and closes the connection; `"break"`, which
    closes it amid the response; a status, which is sent in place of forwarding; or the seconds by
    which the response is late.
    """

    daemon_threads = True

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = server
        self.url = f"http://127.0.0.1:{self.server_port}{PREFIX}/"
        self.faults: list[str | int | float] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a client that gave up has closed its connection."""


class Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self._forward()

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base class looks for these names

    def _forward(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix(PREFIX)
        headers = {name: self.headers[name] for name in self.headers if name != "Host"}
        self.server.requests.append((self.command, path, headers))
        fault = self.server.faults.pop(0) if self.server.faults else 0.0
        if isinstance(fault, int):
            self._send(fault, {"Retry-After": "1"}, b"")
            return
        stream = path.endswith("/events")
        response = self.server.upstream.pool.urlopen(
            self.command, path, body or None, headers, preload_content=not stream
        )
        if isinstance(fault, float):
            time.sleep(fault)
        elif fault == "lose":
            response.close()
            return
        kind = {"Content-Type": response.headers["Content-Type"]}
        if stream:
            self.send_response(200)
            self.end_headers()
            events = 0
            for line in response.stream():
                self.wfile.write(line)
                events += line.count(b"event: job")
                if fault == "break" and events:
                    break
            response.close()
            return
        self._send(response.status, kind, response.data)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@contextmanager
def proxy_of(server: Server) -> Iterator[Proxy]:
    """Run a proxy in front of `server`."""
    with Proxy(server) as proxy:
        thread = Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()
