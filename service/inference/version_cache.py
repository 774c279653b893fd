"""`VersionCache`: the versions that requests name by number, held up to a limit of memory.

The live version isn't part of it: `ModelRepository` holds that one.
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version

MAX_BYTES = 64 * 2**20
# Estimates: the manifest and the objects, and each weight, in an array and as plain floats.
BYTES_PER_VERSION = 4096
BYTES_PER_WEIGHT = 56


def estimate_bytes(version: Version) -> int:
    """Return the memory that `version` takes, in bytes."""
    return BYTES_PER_VERSION + BYTES_PER_WEIGHT * version.network.weight_count


class _Entry(NamedTuple):
    version: Version
    inode: int
    mtime_ns: int


class VersionCache:
    """Loads versions of `repository`, and holds at most `max_bytes` of them, the last used.

    Threads may share a cache.
    """

    def __init__(self, repository: ModelRepository, max_bytes: int = MAX_BYTES) -> None:
        self._repository = repository
        self._max_bytes = max_bytes
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # the least recently used first
        self._bytes = 0
        self._lock = Lock()

    def load(self, number: int) -> Version:
        """Return version `number`, and drop the least recently used ones if memory is short.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
        """
        return self._load(number, may_drop=True)

    def check(self, number: int) -> None:
        """Load version `number` if it isn't held; no other version is dropped for it.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
        """
        self._load(number, may_drop=False)

    def _load(self, number: int, may_drop: bool) -> Version:
        try:
            file = self._repository.path(number).stat()
        except FileNotFoundError:
            return self._repository.load(number)  # raises an error that lists the versions
        with self._lock:
            entry = self._entries.get(number)
            # A file that was replaced has another inode or time, and is read again.
            if entry and entry[1:] == (file.st_ino, file.st_mtime_ns):
                if may_drop:
                    self._entries.move_to_end(number)
                return entry.version
        # Two threads may load the same version; reading a file must not stop the other threads.
        version = self._repository.load(number)
        self._hold(number, _Entry(version, file.st_ino, file.st_mtime_ns), may_drop)
        return version

    def _hold(self, number: int, entry: _Entry, may_drop: bool) -> None:
        size = estimate_bytes(entry.version)
        with self._lock:
            if replaced := self._entries.pop(number, None):
                self._bytes -= estimate_bytes(replaced.version)
            if size > self._max_bytes - (0 if may_drop else self._bytes):
                return
            self._entries[number] = entry
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= estimate_bytes(dropped.version)
