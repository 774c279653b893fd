"""`VersionLink`: a symbolic link to the file of a version, such as the live one.

A request reads the link to find the live version, so a change takes effect without notification.
Locking and the promotion log are in `repository`.
"""

import errno
import os
import re
from pathlib import Path

from streetlight.model.registry.version import VersionDamagedError

# Of the largest number of a version. A damaged name or line could otherwise name a number whose
# successor no database can store.
MAX_DIGITS = 9
# The file of a version: `3.npz`; in a cache, `3-` and the start of the file's digest.
_FILE_NAME = re.compile(rf"(0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})(-[0-9a-f]{{16}})?\.npz")


class VersionLink:
    """The link at `path`. Callers of `point` must hold a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def name(self) -> str | None:
        """Return the name that the link has, which isn't checked, or `None` if there is no link.

        Raises:
            VersionDamagedError: it isn't a link.
        """
        try:
            return os.readlink(self.path)  # noqa: PTH115 - on the path of every request
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise self._damaged("another kind of file") from None

    def number(self) -> int | None:
        """Return the number of the version that the link names, or `None` if there is no link.

        The version's file is not checked.

        Raises:
            VersionDamagedError: it isn't a link, or its target is not the name of a version file.
        """
        name = self.name()
        return None if name is None else self.parse(name)

    def parse(self, name: str) -> int:
        """Return the number of the version whose file has the name `name`.

        Raises:
            VersionDamagedError: it is not the name of a version file.
        """
        if match := _FILE_NAME.fullmatch(name):
            return int(match[1])
        raise self._damaged(f"a path to {Path(name).name}" if "/" in name else name)

    def point(self, name: str | None) -> None:
        """Point the link to the file `name`, atomically and durably, or remove it for `None`."""
        if name is None:
            self.path.unlink()
            sync_folder(self.path.parent)
            return
        new_link = self.path.with_name(f".{self.path.name}-new")
        new_link.unlink(missing_ok=True)
        new_link.symlink_to(name)
        new_link.replace(self.path)
        sync_folder(self.path.parent)

    def _damaged(self, got: str) -> VersionDamagedError:
        return VersionDamagedError(
            f"{self.path.name}: expected a link to a version file such as 1.npz, got {got}"
        )


def sync_folder(folder: Path) -> None:
    """Flush `folder` to disk, so that links, renames and removals in it survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
