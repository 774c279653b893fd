"""The threads in which a worker runs the application."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from streetlight.service.config.settings import DATABASE_THREADS, THREADS


class Threads:
    """A bounded pool of threads; the event loop `loop` calls its methods.

    A `ThreadPoolExecutor` takes a fifth longer for a short task, and makes a process that exits
    wait for its threads.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        # In the order of their submission.
        self._waiting: dict[Callable[[], None], None] = {}
        self._using_database = 0
        self._threads = 0
        # An item for each idle thread; `append` and `pop` are atomic.
        self._idle: list[None] = []

    def submit(self, task: Callable[[], None], *, uses_database: bool) -> None:
        """Run `task`, which raises no exception, in a thread as soon as one is free."""
        if not uses_database:
            self._run_soon(task)
        elif self._using_database < DATABASE_THREADS:
            self._using_database += 1
            self._run_soon(partial(self._run, task))
        else:
            self._waiting[task] = None

    def withdraw(self, task: Callable[[], None]) -> bool:
        """Return whether `task` was waiting for the database; if so, it is not run."""
        return self._waiting.pop(task, self) is None

    def _run_soon(self, task: Callable[[], None]) -> None:
        self._tasks.put(task)
        if self._idle:
            self._idle.pop()
        elif self._threads < THREADS:
            # Only when it is needed: each thread keeps some of the memory that it has freed.
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._tasks.get()()
            self._idle.append(None)

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
