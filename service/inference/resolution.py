"""Resolve the version for a request: the live one, or one with a given number."""

from functools import lru_cache

from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError


class NoLiveVersionError(Exception):
    """No version is live, or the live version can't be read."""


class ModelNotFoundError(LookupError):
    """There is no model of that name, or no version of that number or label."""


def live_version(repository: ModelRepository) -> Version:
    """Return the live version.

    Raises:
        NoLiveVersionError: no version is live, or its file can't be read.
    """
    try:
        version = repository.live()
    except (VersionNotFoundError, VersionDamagedError) as error:
        raise NoLiveVersionError(
            f"the live version can't be read ({error}); promote another one"
        ) from error
    if version is None:
        raise NoLiveVersionError(
            "no version is live; train one with `streetlight train`, or promote one"
        )
    return version


def pinned_version(repository: ModelRepository, number: int) -> Version:
    """Return version `number`, live or not. The last eight such versions are cached.

    Raises:
        VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
    """
    try:
        file = repository.path(number).stat()
    except FileNotFoundError:
        return repository.load(number)  # raises an error that lists the existing versions
    # The inode and the time are part of the cache key, so a file that was replaced is read again.
    return _load_cached(repository, number, file.st_ino, file.st_mtime_ns)


@lru_cache(maxsize=8)
def _load_cached(repository: ModelRepository, number: int, _inode: int, _mtime_ns: int) -> Version:
    return repository.load(number)


def live_version_if_any(repository: ModelRepository) -> Version | None:
    """Return the live version; `None` if no version is live or its file can't be read."""
    try:
        return live_version(repository)
    except NoLiveVersionError:
        return None
