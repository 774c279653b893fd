"""The live link: a symbolic link that names the version which answers.

Reading it is all that a request does to learn of a switch. When to move it is in `repository`.
"""

import os
from pathlib import Path

from streetlight.model.registry.version import VersionDamagedError


class LiveLink:
    """The link at `path`; whoever moves or removes it holds the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def number(self) -> int | None:
        """The number that it names; `None` where there is no link.

        Raises:
            VersionDamagedError: it names something that can't be a version.
        """
        try:
            name = os.readlink(self.path)  # noqa: PTH115 - on the path of every request
        except FileNotFoundError:
            return None
        stem = name.removesuffix(".npz")
        if not stem.isdecimal():
            raise VersionDamagedError(f"{self.path}: it points to {name}")
        return int(stem)

    def point(self, number: int | None) -> None:
        """Let it name version `number`, at once and durably; with `None`, remove it."""
        if number is None:
            self.path.unlink()
            sync_folder(self.path.parent)
            return
        beside = self.path.with_name(".live-new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(f"{number}.npz")
        beside.replace(self.path)
        sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable what was linked, renamed or removed in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
