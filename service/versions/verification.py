"""Verify a version: train it again in a separate process, and compare the weights.

`streetlight.model.registry.reproduction` trains and compares. This module runs it outside of the
process that serves requests, with a time limit, one verification at a time in each worker process.
"""

import json
import subprocess
import sys
import threading

from streetlight.model.registry.reproduction import DAMAGED, Reproduction
from streetlight.model.registry.version import Version, VersionDamagedError

TIMEOUT_SECONDS = 60

_verification_lock = threading.Lock()


class VerificationBusyError(Exception):
    """Another verification is running, or this one took too long."""


def verify(version: Version, seconds: float = TIMEOUT_SECONDS) -> Reproduction:
    """Train `version` again from its file, and return whether the weights are identical.

    Args:
        version: the version to verify.
        seconds: the time limit.

    Raises:
        VersionDamagedError: the file of the version can't be trained from.
        VerificationBusyError: this process is running another verification, or the training took
            longer than `seconds`.
        RuntimeError: the process failed, for example because something killed it.
    """
    if not _verification_lock.acquire(blocking=False):
        raise VerificationBusyError(
            "another verification is running; try again when it has finished"
        )
    try:
        run = subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "streetlight.model.registry.reproduction",
                str(version.path),
            ],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationBusyError(
            f"training version {version.number} again took longer than {seconds:g} s; "
            f"`streetlight verify {version.number}` has no time limit"
        ) from error
    finally:
        _verification_lock.release()
    if run.returncode == DAMAGED:
        raise VersionDamagedError(run.stderr.strip())
    if run.returncode:
        raise RuntimeError(f"the training exited with status {run.returncode}: {run.stderr}")
    return Reproduction(**json.loads(run.stdout))
