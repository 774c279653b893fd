"""Tests of the threads of a worker: how many tasks run at once, and which of them."""

import asyncio
import threading
from collections.abc import Callable

from streetlight.service.config.settings import DATABASE_THREADS, THREADS
from streetlight.service.server.threads import Threads
from tests.server import DEADLINE


class Tasks:
    """Tasks that run until `may_end` is set."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.may_end = threading.Event()

    def new(self) -> Callable[[], None]:
        def run() -> None:
            self.started.release()
            self.may_end.wait(DEADLINE)
            self.ended.release()

        return run


async def wait_for(count: int, semaphore: threading.Semaphore) -> None:
    """Wait until the semaphore was released so many times, and let the event loop run."""
    for _ in range(count):
        assert await asyncio.to_thread(semaphore.acquire, timeout=DEADLINE)


def test_tasks_that_use_the_database_leave_threads_to_others() -> None:
    async def run() -> None:
        threads = Threads(asyncio.get_running_loop())
        waiting, other = Tasks(), Tasks()
        tasks = [waiting.new() for _ in range(DATABASE_THREADS + 3)]
        for task in tasks:
            threads.submit(task, uses_database=True)
        await wait_for(DATABASE_THREADS, waiting.started)
        for _ in range(THREADS - DATABASE_THREADS):
            threads.submit(other.new(), uses_database=False)
        await wait_for(THREADS - DATABASE_THREADS, other.started)
        # Neither a task that runs nor one that isn't known can be withdrawn.
        assert not threads.withdraw(tasks[0])
        assert not threads.withdraw(waiting.new())
        assert threads.withdraw(tasks[-1])
        assert not threads.withdraw(tasks[-1])
        assert not waiting.started.acquire(blocking=False)
        waiting.may_end.set()
        other.may_end.set()
        await wait_for(len(tasks) - 1, waiting.ended)
        assert not waiting.ended.acquire(blocking=False)

    asyncio.run(run())


def test_a_thread_is_started_only_if_none_is_idle() -> None:
    async def run() -> None:
        threads, tasks = Threads(asyncio.get_running_loop()), Tasks()
        tasks.may_end.set()
        before = threading.active_count()
        for _ in range(50):
            threads.submit(tasks.new(), uses_database=False)
            await wait_for(1, tasks.ended)
            await asyncio.sleep(0.001)
        # `asyncio.to_thread` starts some, too, and a thread may not be idle yet at the next task.
        assert threading.active_count() - before < THREADS

    asyncio.run(run())
