"""The tiers of the tests: `process` for those that start processes, and all others.

Nobody needs to say so of a test: a test is of the tier if it, a fixture of it, or a function that
either calls, names something that starts a process. A test that does so in another way needs the
mark; without it, `refuse_processes` lets it fail.
"""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from multiprocessing.context import BaseContext
from types import CodeType, FunctionType
from typing import Any

import pytest

# What `sys.audit` is told where a process is started.
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"}

_refusing = False


def mark(item: pytest.Function) -> None:
    """Mark a test with its tier."""
    fixtures = [found[-1].func for found in item._fixtureinfo.name2fixturedefs.values()]
    if any(map(starts_a_process, [item.function, *fixtures])):
        item.add_marker("process")


@cache
def starts_a_process(function: Any) -> bool:
    """Tell whether a function, or one that it calls, names something that starts a process."""
    if hasattr(function, "hypothesis"):
        function = function.hypothesis.inner_test
    return any(
        value is subprocess
        or value is multiprocessing.get_context
        or isinstance(value, BaseContext)
        for value in _named(function, set())
    )


def _named(value: Any, seen: set[Any]) -> Iterator[Any]:
    """Yield the globals that a function, or a method of a class, of the tests names.

    And those that the functions and classes among them name.
    """
    if not isinstance(value, (type, FunctionType)) or value in seen:
        return
    if not value.__module__.startswith("tests."):
        return
    seen.add(value)
    if isinstance(value, type):
        for member in [member for kind in value.__mro__ for member in vars(kind).values()]:
            yield from _named(getattr(member, "func", member), seen)
    elif isinstance(value, FunctionType):
        for name in _names(value.__code__):
            named = value.__globals__.get(name)
            yield named
            yield from _named(named, seen)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def refuse_processes(item: pytest.Item) -> None:
    """Let what `item` does fail where it starts a process and isn't marked `process`."""
    global _refusing  # noqa: PLW0603 - an audit hook can't be removed
    _refusing = item.get_closest_marker("process") is None


def _audit(event: str, _arguments: tuple[object, ...]) -> None:
    if _refusing and event in EVENTS:
        raise RuntimeError(f"{event}: this test starts a process, so it needs the mark `process`")


sys.addaudithook(_audit)
