"""`ModelRepository`: the numbered versions in a folder, and which of them is live.

    models/1.npz 2.npz …      versions, which never change
    models/live -> 2.npz      a symbolic link to the live version
    models/newest -> 3.npz    a link that names the highest number given, even if its file is gone
    models/promotions.jsonl   the promotion log

Any number of processes on one host may use a folder: a version file appears complete or not at all,
and the link moves under a lock. The content of a version file is in `version`.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from streetlight.model.dataset import Dataset
from streetlight.model.registry.file_lock import LOCK_TIMEOUT, file_lock
from streetlight.model.registry.manifest import Provenance, describe
from streetlight.model.registry.promotion_log import Action, Promotion, PromotionLog, live_history
from streetlight.model.registry.version import Version, VersionDamagedError, write
from streetlight.model.registry.version_link import VersionLink, sync_folder
from streetlight.model.training.fit import TrainingResult


class VersionNotFoundError(LookupError):
    """There is no version with the given number."""


class NothingToRollBackToError(LookupError):
    """There is no earlier version in the promotion history."""


class LiveChange(NamedTuple):
    """What a change of the live version needs, while no other process can change it.

    Attributes:
        live: the number of the live version; `None` if none is live.
        live_history: the promotion history; its last element is the version that was live last.
        record: makes a version live, or for `unload` none, and returns the promotion.
    """

    live: int | None
    live_history: list[int]
    record: Callable[[Action, int, str, str | None], Promotion]


class ModelRepository:
    """The versions in `folder`, which is created by the first call that takes a lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._link = VersionLink(folder / "live")
        self._newest = VersionLink(folder / "newest")
        self._promotions = PromotionLog(folder / "promotions.jsonl")
        # The live version, and the name that the link had when it was loaded.
        self._cached: tuple[str, Version] | None = None

    def publish(
        self, training: TrainingResult, dataset: Dataset, provenance: Provenance
    ) -> Version:
        """Write a training as the next version and return it; the version isn't live yet.

        The number is one above the highest number given, which the link `newest` names. So a number
        is never given to another version, even if its file was deleted. In a folder without the
        link, the highest number is that of the files and of the promotion log.

        Args:
            training: the result to publish.
            dataset: the training data.
            provenance: the source of the training data, and the exam.

        Raises:
            OSError: the folder can't be written; no version was published.
        """
        manifest = describe(training, dataset, provenance)
        with self.lock("publish"):
            # While the lock is held no other process publishes, so these are from killed ones.
            for leftover in self.folder.glob(".new-*"):
                leftover.unlink()
            number = 1 + self.newest_number()
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-") as file:
                write(file, number, manifest, training, dataset, exam=provenance.exam)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
                # Before the version: after a crash in between, the number isn't used.
                self._newest.point(self.path(number).name)
                os.link(file.name, self.path(number))
            sync_folder(self.folder)
        return self.load(number)

    def path(self, number: int) -> Path:
        """Return the path of the file of version `number`, which may not exist."""
        return self.folder / f"{number}.npz"

    def versions(self) -> list[int]:
        """Return the numbers of the version files in the folder, ascending."""
        if not self.folder.is_dir():
            return []
        names = (
            re.fullmatch(r"([1-9]\d{0,8})\.npz", entry.name) for entry in os.scandir(self.folder)
        )
        return sorted(int(name[1]) for name in names if name)

    def newest_number(self) -> int:
        """Return the highest number that was given to a version; 0 if none was."""
        logged = (promotion.version for promotion in self.promotions())
        return max([_named(self._newest) or 0, *self.versions(), *logged])

    def load(self, number: int) -> Version:
        """Return version `number`, loaded from its file and checked.

        Raises:
            VersionNotFoundError: there is no version `number`.
            VersionDamagedError: the file is not a valid version, or is that of another version.
        """
        return self._load(number, self.path(number).name)

    def _load(self, number: int, name: str) -> Version:
        try:
            version = Version.load(self.folder / name)
        except FileNotFoundError as error:
            raise VersionNotFoundError(
                f"no version {number}; {existing(self.versions())}"
            ) from error
        if version.number != number:
            raise VersionDamagedError(
                f"{name}: expected version {number}, got version {version.number}"
            )
        return version

    def live_number(self) -> int | None:
        """Return the number that the live link names, or `None` if no version is live.

        The version's file is not checked. A link that names no version is replaced by the next
        promotion; `live` reports it.
        """
        return _named(self._link)

    def live(self) -> Version | None:
        """Return the live version, or `None` if no version is live.

        Each call reads the link, so a promotion takes effect at the next call. The version is read
        from disk only if it isn't cached. Versions don't change, so a caller may keep the result.

        Raises:
            VersionNotFoundError: the live version has no file.
            VersionDamagedError: the link or the live version's file is invalid.
        """
        name = self._link.name()
        if name is None:
            return None
        # Another thread may replace `_cached` at any time, also by an older version, so the result
        # is checked and returned from a local variable.
        cached = self._cached
        if cached is None or cached[0] != name:
            self._cached = cached = (name, self._load(self._link.parse(name), name))
        return cached[1]

    def promote(self, number: int, reason: str = "", key: str | None = None) -> Promotion | None:
        """Make version `number` live and return the log entry, or `None` if it is live already.

        After an error the live version is unchanged.

        Raises:
            VersionNotFoundError: there is no version `number`.
            VersionDamagedError: the version's file is invalid.
            OSError: the link or the promotion log can't be written.
        """
        with self.promoting() as promote:
            return promote(number, reason, key)

    @contextmanager
    def promoting(self) -> Iterator[Callable[[int, str, str | None], Promotion | None]]:
        """Hold the promote lock, and yield a function like `promote`.

        While the lock is held no other process changes the live version, so a comparison with the
        live version is a comparison with the one that the promotion replaces.
        """
        with self._changing() as change:
            yield partial(self._promote, change)

    def _promote(
        self, change: LiveChange, number: int, reason: str, key: str | None
    ) -> Promotion | None:
        self.load(number)
        return None if change.live == number else change.record("promote", number, reason, key)

    def rollback(self, reason: str = "", key: str | None = None) -> Promotion:
        """Make the previous version of the promotion history live; each call goes back further.

        After an error the live version is unchanged.

        Raises:
            NothingToRollBackToError: there is no earlier version in the promotion history.
            VersionNotFoundError: the previous version has no file.
            VersionDamagedError: the previous version's file is invalid.
            OSError: the link or the promotion log can't be written.
        """
        with self._changing() as change:
            if len(change.live_history) < 2:
                raise NothingToRollBackToError(
                    "nothing to roll back to: no other version was live before"
                )
            self.load(change.live_history[-2])
            return change.record("rollback", change.live_history[-2], reason, key)

    def unload(self, reason: str = "", key: str | None = None) -> Promotion | None:
        """Make no version live and return the log entry, or `None` if no version was live.

        Raises:
            OSError: the link or the promotion log can't be written; the live version is unchanged.
        """
        with self._changing() as change:
            if change.live is None:
                return None
            return change.record("unload", change.live, reason, key)

    def reload(self, reason: str = "", key: str | None = None) -> int:
        """Check the live version's file, or make a version live if none is, and return its number.

        If no version is live, the one that was live last goes live; if none ever was, the newest.
        After an error the live version is unchanged.

        Raises:
            VersionNotFoundError: the version has no file, or there are no versions.
            VersionDamagedError: the version's file is invalid.
            OSError: the link or the promotion log can't be written.
        """
        with self._changing() as change:
            number = change.live or ([0, *self.versions(), *change.live_history])[-1]
            self._promote(change, number, reason, key)
            return number

    def follow(self) -> object:
        """Do nothing: no other host changes the folder."""

    def try_to_follow(self) -> None:
        """Do nothing, as `follow`."""

    def lagging_hosts(self) -> list[str]:
        """Return the hosts that don't answer by the last promotion yet; there is no other host."""
        return []

    def previous_number(self) -> int | None:
        """Return the number of the version that a rollback would make live, or `None`."""
        history = live_history(self.promotions())
        return history[-2] if len(history) > 1 else None

    def promotions(self) -> list[Promotion]:
        """Return the promotion log, oldest entry first."""
        return self._promotions.read()

    def promotion_lines(self) -> list[Promotion | None]:
        """Return each line of the promotion log, oldest first; `None` for a damaged one."""
        return self._promotions.lines()

    @contextmanager
    def lock(self, name: str, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the lock `name` of the folder.

        Raises:
            LockedError: another process has held the lock for `timeout` seconds. The methods that
                change the folder raise it, too.
        """
        with file_lock(self.folder / f".{name}.lock", timeout):
            yield

    @contextmanager
    def _changing(self) -> Iterator[LiveChange]:
        with self.lock("promote"):
            live = self._recover()
            history = live_history(self.promotions())
            yield LiveChange(live, history, partial(self._set_live, live))

    def _set_live(
        self, live: int | None, action: Action, number: int, reason: str, key: str | None
    ) -> Promotion:
        self._point(None if action == "unload" else number)
        try:
            return self._promotions.append(action, number, live, reason, key)
        except OSError:
            # A promotion that can't be logged is undone.
            self._point(live)
            raise

    def _point(self, number: int | None) -> None:
        self._link.point(None if number is None else self.path(number).name)

    def _recover(self) -> int | None:
        """Return the live version; log it if a crash kept it out of the log.

        A link to a version that is neither in the log nor in the folder counts as none.
        """
        live, history = self.live_number(), live_history(self.promotions())
        logged = history[-1] if history else None
        if live != logged:
            if live not in self.versions():
                return None
            self._promotions.append("recover", live, logged, "live, but not in the promotion log")
        return live


def _named(link: VersionLink) -> int | None:
    try:
        return link.number()
    except VersionDamagedError:
        return None


def existing(numbers: list[int]) -> str:
    """Return a clause that names the newest of the versions that exist, for an error."""
    if not numbers:
        return "there are no versions yet"
    newest = ", ".join(map(str, numbers[-5:]))
    return f"existing versions: {'… ' if len(numbers) > 5 else ''}{newest}"
