"""`VersionCache`: the versions that requests name by number, held up to a limit of memory.

The live version isn't part of it: `ModelRepository` holds that one.
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from streetlight.model.registry.manifest import Manifest
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version, VersionDamagedError

MAX_BYTES = 64 * 2**20
# Estimates: the manifest and the objects, and each weight, in an array and as plain floats.
BYTES_PER_VERSION = 4096
BYTES_PER_WEIGHT = 56


def estimate_bytes(version: Version) -> int:
    """Return the memory that `version` takes, in bytes."""
    return BYTES_PER_VERSION + BYTES_PER_WEIGHT * version.network.weight_count


class _File(NamedTuple):
    """What tells a version's file from one that replaces it."""

    inode: int
    mtime_ns: int


class VersionCache:
    """Loads versions of `repository`, and holds at most `max_bytes` of them, the last used.

    The manifest of each version that was read is held as well, or the reason why its file is
    damaged: a list of versions reads no file twice. Threads may share a cache.
    """

    def __init__(self, repository: ModelRepository, max_bytes: int = MAX_BYTES) -> None:
        self._repository = repository
        self._max_bytes = max_bytes
        # The least recently used first.
        self._versions: OrderedDict[int, tuple[_File, Version]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self._checked: dict[int, tuple[_File, Manifest | str]] = {}

    def load(self, number: int) -> Version:
        """Return version `number`, and drop the least recently used ones if memory is short.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
        """
        file = self._identify(number)
        with self._lock:
            found, version = self._versions.get(number, (None, None))
            if version and found == file:
                self._versions.move_to_end(number)
                return version
        self._manifest_if_checked(number, file)  # raises an error if the file is damaged
        return self._read(number, file, may_drop=True)

    def check(self, number: int) -> Manifest:
        """Return the manifest of version `number`; no version is dropped for it.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
        """
        file = self._identify(number)
        manifest = self._manifest_if_checked(number, file)
        return manifest or self._read(number, file, may_drop=False).manifest

    def _identify(self, number: int) -> _File:
        try:
            status = self._repository.path(number).stat()
        except FileNotFoundError:
            # Copies the version from another host, or raises an error that lists the versions.
            self._repository.load(number)
            status = self._repository.path(number).stat()
        return _File(status.st_ino, status.st_mtime_ns)

    def _manifest_if_checked(self, number: int, file: _File) -> Manifest | None:
        checked, found = self._checked.get(number, (None, None))
        if checked != file:
            return None
        if isinstance(found, str):
            raise VersionDamagedError(found)
        return found

    def _read(self, number: int, file: _File, may_drop: bool) -> Version:
        # Two threads may load the same version; reading a file must not stop the other threads.
        try:
            version = self._repository.load(number)
        except VersionDamagedError as error:
            # An error of the system or a lack of memory may pass.
            if not isinstance(error.__cause__, OSError | MemoryError):
                self._checked[number] = (file, str(error))
            raise
        self._checked[number] = (file, version.manifest)
        size = estimate_bytes(version)
        with self._lock:
            if replaced := self._versions.pop(number, None):
                self._bytes -= estimate_bytes(replaced[1])
            if size > self._max_bytes - (0 if may_drop else self._bytes):
                return version
            self._versions[number] = (file, version)
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (_, dropped) = self._versions.popitem(last=False)
                self._bytes -= estimate_bytes(dropped)
        return version
