"""Verification: have a version trained again, in a process of its own.

The comparison itself is `model.registry.reproduction`; here it is kept away from the processes that
answer requests, one at a time in each of them, and not for ever.
"""

import json
import subprocess
import sys
import threading

from streetlight.model.registry.reproduction import Reproduction
from streetlight.model.registry.version import Version, VersionDamagedError

SECONDS = 60

_one_at_a_time = threading.Lock()


class VerificationBusyError(Exception):
    """Another verification is under way, or this one took too long."""


def verify(version: Version, seconds: float = SECONDS) -> Reproduction:
    """Train `version` again from its file and compare, bit for bit.

    Raises:
        VersionDamagedError: its file no longer holds what it was trained on.
        VerificationBusyError: another one is under way here, or `seconds` are over.
    """
    if not _one_at_a_time.acquire(blocking=False):
        raise VerificationBusyError("another verification is under way; try again when it is done")
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
            f"training version {version.number} again takes longer than {seconds:g} s; "
            f"`streetlight verify {version.number}` has no such limit"
        ) from error
    finally:
        _one_at_a_time.release()
    if run.returncode:
        raise VersionDamagedError(run.stderr.strip())
    return Reproduction(**json.loads(run.stdout))
