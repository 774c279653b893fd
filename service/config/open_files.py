"""The limit of open files of a process, which a server may have to raise."""

import resource

from streetlight.service.config.errors import SettingsError

# Files that a process of the server must be allowed to open: 128, and 2 for each of 64 connections.
MIN_OPEN_FILES = 256


def raise_open_files(wanted: int) -> int:
    """Let this process open up to `wanted` files, and return how many the hard limit allows.

    Raises:
        SettingsError: they are fewer than `MIN_OPEN_FILES`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed < MIN_OPEN_FILES:
        raise SettingsError(
            f"this process may open {hard} files: expected at least {MIN_OPEN_FILES}, as a worker "
            "needs two for each connection; raise the limit (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return allowed
