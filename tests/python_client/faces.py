"""Both clients behind one interface, so that each test tries them alike."""

import asyncio
from collections.abc import Iterator
from inspect import isasyncgen, iscoroutine
from typing import Any, cast

from streetlight.client import AsyncClient, AsyncJob, Client


class Waiting:
    """An `AsyncClient` or a job of one, whose methods wait for each response."""

    def __init__(self, target: AsyncClient | AsyncJob, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not callable(attribute):
            return attribute

        def method(*arguments: Any, **options: Any) -> Any:
            result = attribute(*arguments, **options)
            if iscoroutine(result):
                result = self._loop.run_until_complete(result)
            return self._iterate(result) if isasyncgen(result) else self._waiting(result)

        return method

    def _iterate(self, items: Any) -> Iterator[Any]:
        try:
            while True:
                yield self._waiting(self._loop.run_until_complete(anext(items)))
        except StopAsyncIteration:
            return

    def _waiting(self, result: Any) -> Any:
        return Waiting(result, self._loop) if isinstance(result, AsyncJob) else result


class Face:
    """Opens clients of one kind, and closes them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._loop = asyncio.new_event_loop()
        self._open: list[Any] = []

    def __call__(self, url: str, **options: Any) -> Client:
        """Return a client with the methods of `Client`."""
        client: Any = Client(url, **options)
        if self.kind == "async":
            client = Waiting(AsyncClient(url, **options), self._loop)
        self._open.append(client)
        return cast("Client", client)

    def close(self) -> None:
        """Close the clients."""
        for client in self._open:
            client.aclose() if self.kind == "async" else client.close()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
