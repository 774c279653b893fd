"""`VersionLink`: a symbolic link to the file of a version, such as the live one.

A request reads the link to find the live version, so a change takes effect without notification.
Locking and the promotion log are in `repository`.
"""

import errno
import os
from pathlib import Path

from streetlight.model.registry.version import VersionDamagedError

# Of the largest number of a version. A damaged name or line could otherwise name a number whose
# successor no database can store.
MAX_DIGITS = 9


class VersionLink:
    """The link at `path`. Callers of `point` must hold a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def number(self) -> int | None:
        """Return the number of the version that the link names, or `None` if there is no link.

        The version's file is not checked.

        Raises:
            VersionDamagedError: it isn't a link, or its target is not the name of a version file.
        """
        try:
            name = os.readlink(self.path)  # noqa: PTH115 - on the path of every request
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            name = "another kind of file"
        stem = name.removesuffix(".npz")
        if not stem.isdecimal() or len(stem) > MAX_DIGITS or name != f"{int(stem)}.npz":
            got = f"a path to {Path(name).name}" if "/" in name else name
            raise VersionDamagedError(
                f"{self.path.name}: expected a link to a version file such as 1.npz, got {got}"
            )
        return int(stem)

    def point(self, number: int | None) -> None:
        """Point the link to version `number`, atomically and durably, or remove it for `None`."""
        if number is None:
            self.path.unlink()
            sync_folder(self.path.parent)
            return
        new_link = self.path.with_name(f".{self.path.name}-new")
        new_link.unlink(missing_ok=True)
        new_link.symlink_to(f"{number}.npz")
        new_link.replace(self.path)
        sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """Flush `folder` to disk, so that links, renames and removals in it survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
