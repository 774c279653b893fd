"""A client that reads server-sent events."""

import json
from collections.abc import Iterator
from functools import cached_property
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any, Self

from tests.server import DEADLINE
from tests.service.conftest import Site


class Follower:
    """A client that reads an event stream."""

    def __init__(self, site: Site, path: str, last_event_id: str = "") -> None:
        self.connection = HTTPConnection("127.0.0.1", site.port, timeout=DEADLINE)
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self.connection.request("GET", path, headers=headers)
        self.events = self._events()

    @cached_property
    def response(self) -> HTTPResponse:
        """The response, whose head arrives with the first event."""
        return self.connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self.response.close()
        self.connection.close()

    def _events(self) -> Iterator[tuple[str, str, Any]]:
        fields: dict[str, str] = {}
        for line in self.response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
                fields = {}
