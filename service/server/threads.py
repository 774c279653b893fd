"""The threads in which a worker runs the application."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from streetlight.service.config import THREADS

# Threads that may use the database at the same time: while it doesn't answer, the others answer the
# requests that don't need it.
DATABASE_THREADS = 8


class Threads:
    """A bounded pool of threads; the event loop `loop` calls its methods."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(THREADS)
        # In the order of their submission.
        self._waiting: dict[Callable[[], None], None] = {}
        self._using_database = 0

    def submit(self, task: Callable[[], None], *, uses_database: bool) -> None:
        """Run `task`, which raises no exception, in a thread as soon as one is free."""
        if not uses_database:
            self._pool.submit(task)
        elif self._using_database < DATABASE_THREADS:
            self._using_database += 1
            self._pool.submit(self._run, task)
        else:
            self._waiting[task] = None

    def withdraw(self, task: Callable[[], None]) -> bool:
        """Return whether `task` was waiting for the database; if so, it is not run."""
        return self._waiting.pop(task, self) is None

    def shut_down(self) -> None:
        """Start no more tasks, and don't wait for those that run."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, task: Callable[[], None]) -> None:
        try:
            task()
        finally:
            self._loop.call_soon_threadsafe(self._start_next)

    def _start_next(self) -> None:
        self._using_database -= 1
        if self._waiting:
            task = next(iter(self._waiting))
            del self._waiting[task]
            self.submit(task, uses_database=True)
