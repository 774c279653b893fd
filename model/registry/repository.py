"""ModelRepository: the numbered versions in a folder, and which of them is live.

    models/1.npz 2.npz …      versions, never changed
    models/live -> 2.npz      a symbolic link, so that `ls -l` shows it
    models/promotions.jsonl   who went live when, instead of what, and why

Safe with any number of processes on one host: a version appears whole or not at all, and the link
moves under a lock. What is in a version's file is in `version`.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streetlight.model.dataset import Dataset
from streetlight.model.registry.live_link import LiveLink, sync_folder
from streetlight.model.registry.manifest import Provenance, describe
from streetlight.model.registry.promotion_log import Action, Promotion, PromotionLog
from streetlight.model.registry.version import Version, VersionDamagedError, write
from streetlight.model.training.fit import TrainingResult


class VersionNotFoundError(LookupError):
    """There is no version of that number."""


class NothingToRollBackToError(LookupError):
    """No version was live before the one that is."""


class ModelRepository:
    """The versions in `folder`, which is made when the first is published."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._link = LiveLink(folder / "live")
        self._promotions = PromotionLog(folder / "promotions.jsonl")
        self._held: Version | None = None

    def publish(self, training: TrainingResult, dataset: Dataset, origin: Provenance) -> Version:
        """Keep what a training came to, as the next number. It isn't live yet.

        Args:
            training: what to keep.
            dataset: what it was trained on.
            origin: where that came from, for the manifest.

        Raises:
            OSError: the folder can't be written; no version came of it.
        """
        manifest = describe(training, dataset, origin)
        with self.lock("publish"):
            # The lock is ours, so these are leftovers of publishers that were killed.
            for leftover in self.folder.glob(".new-*"):
                leftover.unlink()
            # A number is never given twice, even where its file is gone.
            number = 1 + max([0, *self.versions(), *(p.version for p in self.history())])
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-") as file:
                write(file, number, manifest, training, dataset)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
                os.link(file.name, self.path(number))
            sync_folder(self.folder)
        return self.load(number)

    def path(self, number: int) -> Path:
        """Where version `number` is, or would be."""
        return self.folder / f"{number}.npz"

    def versions(self) -> list[int]:
        """The versions that there are, ascending."""
        if not self.folder.is_dir():
            return []
        names = (re.fullmatch(r"([1-9]\d*)\.npz", entry.name) for entry in os.scandir(self.folder))
        return sorted(int(name[1]) for name in names if name)

    def load(self, number: int) -> Version:
        """Load and check a version.

        Raises:
            VersionNotFoundError: there is none of that number.
            VersionDamagedError: its file is not a whole version, or another one's.
        """
        try:
            version = Version.load(self.path(number))
        except FileNotFoundError as error:
            raise VersionNotFoundError(
                f"no version {number}; {_spoken(self.versions())}"
            ) from error
        if version.number != number:
            raise VersionDamagedError(f"{version.path}: it holds version {version.number}")
        return version

    def live_number(self) -> int | None:
        """The number that the link names, whatever is behind it; `None` without a link.

        Raises:
            VersionDamagedError: the link names something that can't be a version.
        """
        return self._link.number()

    def live(self) -> Version | None:
        """The version that is live at this moment, loaded; `None` where none ever was.

        Each call reads the link, and only a version that isn't in memory is read from disk: there
        is nothing to reload and nobody to notify. Versions don't change, so a caller may keep
        what it got.

        Raises:
            VersionNotFoundError, VersionDamagedError: the link names something unusable.
        """
        number = self.live_number()
        if number is None:
            return None
        # A thread that is late may put back an older version: trust only what is in hand.
        held = self._held
        if held is None or held.number != number:
            self._held = held = self.load(number)
        return held

    def promote(self, number: int, reason: str = "") -> Promotion | None:
        """Let version `number` answer from now on; `None` if it does already.

        Raises:
            VersionNotFoundError, VersionDamagedError: whatever is live stays live.
            OSError: likewise.
        """
        with self.promoting() as promote:
            return promote(number, reason)

    @contextmanager
    def promoting(self) -> Iterator[Callable[[int, str], Promotion | None]]:
        """Give what `promote` does, while nobody else can change what is live.

        So that whoever compares a version with the live one does so with the one it replaces.
        """
        with self.lock("promote"):
            self._recover()
            yield self._promote

    def _promote(self, number: int, reason: str) -> Promotion | None:
        self.load(number)
        if self.live_number() == number:
            return None
        return self._switch("promote", number, reason)

    def rollback(self, reason: str = "") -> Promotion:
        """Let the version that was live before answer again; repeated, go further back.

        Raises:
            NothingToRollBackToError: none was.
            VersionNotFoundError, VersionDamagedError, OSError: whatever is live stays live.
        """
        with self.lock("promote"):
            self._recover()
            live_history = self._promotions.live_history()
            if len(live_history) < 2:
                raise NothingToRollBackToError(
                    "nothing to roll back to: no other version was live before"
                )
            self.load(live_history[-2])
            return self._switch("rollback", live_history[-2], reason)

    def unload(self, reason: str = "") -> Promotion | None:
        """Let no version answer until one is promoted or loaded; `None` if none did.

        Raises:
            OSError: whatever is live stays live.
        """
        with self.lock("promote"):
            self._recover()
            live = self.live_number()
            return None if live is None else self._switch("unload", live, reason)

    def reload(self, reason: str = "") -> int:
        """Check the live version's file; where none is live, let the one answer that did last.

        Raises:
            VersionNotFoundError, VersionDamagedError, OSError: nothing has changed.
        """
        with self.promoting() as promote:
            live = self.live_number()
            number = live or ([0, *self.versions(), *self._promotions.live_history()])[-1]
            self.load(number)
            promote(number, reason)
            return number

    def previous_number(self) -> int | None:
        """The number of the version that was live before; what a rollback goes back to."""
        live_history = self._promotions.live_history()
        return live_history[-2] if len(live_history) > 1 else None

    def history(self) -> list[Promotion]:
        """The record of who went live when and why, oldest first."""
        return self._promotions.read()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of that name: one holder at a time, freed when its process ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _switch(self, action: Action, number: int, reason: str) -> Promotion:
        live = self.live_number()
        self._link.point(None if action == "unload" else number)
        try:
            return self._promotions.append(action, number, live, reason)
        except OSError:
            # What can't be put on record doesn't happen.
            self._link.point(live)
            raise

    def _recover(self) -> None:
        """Put on record what a crash left off: the link is the truth."""
        live, live_history = self.live_number(), self._promotions.live_history()
        on_record = live_history[-1] if live_history else None
        if live is not None and live != on_record:
            self._promotions.append("recover", live, on_record, "found live, but not on record")


def _spoken(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[-5:])) or "none yet"
    return f"there is {'… ' if len(numbers) > 5 else ''}{shown}"
