"""Tests of the locks between processes: how long a process waits for one."""

import threading
import time
from pathlib import Path

import pytest

from streetlight.model.registry.file_lock import LockedError, file_lock


def test_the_wait_for_a_lock_ends_with_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".name.lock"
    with file_lock(path):
        started = time.monotonic()
        with pytest.raises(LockedError) as error, file_lock(path, 0.2):
            pass
        assert 0.2 <= time.monotonic() - started < 5

    assert str(error.value) == (
        "another process has held the lock folder/.name.lock for 0.2 s; "
        "try again later, or end the process that `fuser` shows for that file"
    )
    with file_lock(path, 0):
        pass


def test_a_lock_is_taken_when_it_is_freed(tmp_path: Path) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with file_lock(tmp_path / "lock"):
            held.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    threading.Timer(0.1, free.set).start()
    with file_lock(tmp_path / "lock", 10):
        assert free.is_set()
    holder.join(10)
