"""Which version answers: the live one, or one that is named by its number."""

from functools import lru_cache

from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError


class NoLiveVersionError(Exception):
    """There is no version to answer with; the message says what to do."""


def live_version(repository: ModelRepository) -> Version:
    """Return the live version.

    Raises:
        NoLiveVersionError: there is none, or it can't be read.
    """
    try:
        version = repository.live()
    except (VersionNotFoundError, VersionDamagedError) as error:
        raise NoLiveVersionError(
            f"the live version can't be read ({error}); promote another one"
        ) from error
    if version is None:
        raise NoLiveVersionError(
            "no version is live yet; train one with `streetlight train`, or promote one"
        )
    return version


def pinned_version(repository: ModelRepository, number: int) -> Version:
    """Return version `number`, live or not; the last few that were asked for are held.

    Raises:
        VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
    """
    try:
        file = repository.path(number).stat()
    except FileNotFoundError:
        return repository.load(number)  # says what there is instead
    return _held(repository, number, file.st_ino, file.st_mtime_ns)


@lru_cache(maxsize=8)
def _held(repository: ModelRepository, number: int, _inode: int, _changed: int) -> Version:
    return repository.load(number)


def live_version_if_any(repository: ModelRepository) -> Version | None:
    """Return the live version, or `None` where there is none that can be read."""
    try:
        return live_version(repository)
    except NoLiveVersionError:
        return None
