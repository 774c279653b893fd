"""`VersionCache`: the versions that requests name by number, held up to a limit of memory.

The live version isn't part of it: `ModelRepository` holds that one.
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version, VersionDamagedError

MAX_BYTES = 64 * 2**20
# Estimates: the manifest and the objects, and each weight, in an array and as plain floats.
BYTES_PER_VERSION = 4096
BYTES_PER_WEIGHT = 56


def estimate_bytes(version: Version) -> int:
    """Return the memory that `version` takes, in bytes."""
    return BYTES_PER_VERSION + BYTES_PER_WEIGHT * version.network.weight_count


class _Entry(NamedTuple):
    version: Version | str  # why the file is damaged, if it is
    inode: int
    mtime_ns: int

    @property
    def size(self) -> int:
        if isinstance(self.version, str):
            return BYTES_PER_VERSION
        return estimate_bytes(self.version)


class VersionCache:
    """Loads versions of `repository`, and holds at most `max_bytes` of them, the last used.

    That a file is damaged is held as well, so that it isn't read again until it is replaced.
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

    def check(self, number: int) -> Version:
        """Return version `number`; no other version is dropped for it.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
        """
        return self._load(number, may_drop=False)

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
                if isinstance(entry.version, str):
                    raise VersionDamagedError(entry.version)
                return entry.version
        # Two threads may load the same version; reading a file must not stop the other threads.
        try:
            version = self._repository.load(number)
        except VersionDamagedError as error:
            # An error of the system or a lack of memory may pass.
            if not isinstance(error.__cause__, OSError | MemoryError):
                self._hold(number, _Entry(str(error), file.st_ino, file.st_mtime_ns), may_drop)
            raise
        self._hold(number, _Entry(version, file.st_ino, file.st_mtime_ns), may_drop)
        return version

    def _hold(self, number: int, entry: _Entry, may_drop: bool) -> None:
        with self._lock:
            if replaced := self._entries.pop(number, None):
                self._bytes -= replaced.size
            if entry.size > self._max_bytes - (0 if may_drop else self._bytes):
                return
            self._entries[number] = entry
            self._bytes += entry.size
            while self._bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= dropped.size
