"""Locks between processes, as files; the kernel frees a lock when its process ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Seconds that a process waits for a lock, of a file or of the database.
LOCK_TIMEOUT = 10
# Seconds between two tries.
POLL_INTERVAL = 0.01


class LockedError(Exception):
    """Another process holds a lock for too long; the message names the lock."""


@contextmanager
def file_lock(path: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the lock `path`, a file that is created if it is missing, as its folder is.

    Raises:
        LockedError: another process has held the lock for `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    # Clients see the message, so it doesn't tell where the folder is.
                    name = f"{path.parent.name}/{path.name}"
                    raise LockedError(
                        f"another process has held the lock {name} for {timeout:g} s; "
                        "try again later, or end the process that `fuser` shows for that file"
                    ) from None
            time.sleep(POLL_INTERVAL)
        yield
