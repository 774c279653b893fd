"""The tiers of the tests: those that start processes have the marker `process`.

An unmarked test that starts a process fails, so `-m "not process"` selects the quick tests only.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# The audit events that Python raises when a process starts.
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"}

_refusing = False


@contextmanager
def enforced(item: pytest.Item) -> Iterator[None]:
    """Let `item` fail if it starts a process without the marker `process`."""
    global _refusing  # noqa: PLW0603 - an audit hook can't be removed
    _refusing = item.get_closest_marker("process") is None
    try:
        yield
    finally:
        _refusing = False


def _audit(event: str, _arguments: tuple[object, ...]) -> None:
    if _refusing and event in EVENTS:
        raise RuntimeError(f"{event}: this test starts a process, so it needs the marker `process`")


sys.addaudithook(_audit)
