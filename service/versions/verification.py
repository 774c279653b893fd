"""Verify a version: train it again in a separate process, and compare the weights.

`streetlight.model.registry.reproduction` trains and compares. This module runs it outside of the
process that serves requests, at the lowest priority and with a time limit, one verification at a
time on the data directory.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streetlight.model.registry.reproduction import DAMAGED, Reproduction
from streetlight.model.registry.version import Version, VersionDamagedError

TIMEOUT_SECONDS = 60
CHECK_INTERVAL = 0.1


class VerificationBusyError(Exception):
    """Another verification is running, or this one took too long."""


def verify(
    version: Version,
    seconds: int = TIMEOUT_SECONDS,
    check_connected: Callable[[], None] = lambda: None,
) -> Reproduction:
    """Train `version` again from its file, and return whether the weights are identical.

    Args:
        version: the version to verify.
        seconds: the limit of the time, and of the processor time.
        check_connected: called while the training runs; an exception ends it.

    Raises:
        VersionDamagedError: the file of the version can't be trained from.
        VerificationBusyError: another verification is running, or the training took longer than
            `seconds`.
        RuntimeError: the process failed, for example because something killed it.
    """
    too_long = VerificationBusyError(
        f"training version {version.number} again took longer than {seconds} s; "
        f"`streetlight verify {version.number}` has no time limit"
    )
    deadline = time.monotonic() + seconds
    command = [sys.executable, "-P", "-m", "streetlight.model.registry.reproduction"]
    with (
        _locked(version.path.parent) as lock,
        subprocess.Popen(
            [*command, str(version.path), str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[lock],  # held for as long as it trains, even if this process is killed
        ) as process,
    ):
        try:
            while (result := _result(process)) is None:
                check_connected()
                if time.monotonic() > deadline:
                    raise too_long
        finally:
            process.kill()
    output, errors = result
    if process.returncode == -signal.SIGXCPU:
        raise too_long
    if process.returncode == DAMAGED:
        raise VersionDamagedError(errors.strip())
    if process.returncode:
        raise RuntimeError(f"the training exited with status {process.returncode}: {errors}")
    return Reproduction(**json.loads(output))


def _result(process: "subprocess.Popen[str]") -> tuple[str, str] | None:
    """Return the output and the errors of a process; `None` if it runs for `CHECK_INTERVAL`."""
    try:
        return process.communicate(timeout=CHECK_INTERVAL)
    except subprocess.TimeoutExpired:
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold a lock on `folder`, and yield its file descriptor."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise VerificationBusyError(
            "another verification is running; try again when it has finished"
        ) from None
    finally:
        os.close(descriptor)
