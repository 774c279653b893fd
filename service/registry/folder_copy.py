"""`FolderCopy`: the copy of the versions and promotions of the database in the folder of a host.

`follower` keeps it current. The names of the files have digests, `3-<digest>.npz`: after a failover
that lost commits, a number can come again with other content.
"""

import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine

from streetlight.model.registry.file_lock import file_lock
from streetlight.model.registry.promotion_log import PromotionLog
from streetlight.model.registry.version import VersionDamagedError
from streetlight.model.registry.version_link import VersionLink, sync_folder
from streetlight.service.registry import rows
from streetlight.service.registry.rows import PromotionId, State
from streetlight.service.store.engine import snapshot
from streetlight.service.store.schema import SchemaError

_FILE_NAME = re.compile(rf"([1-9][0-9]{{0,8}})-[0-9a-f]{{{rows.DIGEST_LENGTH}}}\.npz")
# Seconds between two comparisons of the folder with all rows: a version may have been removed.
COMPARE_INTERVAL = 10.0

log = logging.getLogger(__name__)


class FolderCopy:
    """The copy in `folder`, which several processes of a host may bring up to date."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self._engine = engine
        self._link = VersionLink(folder / "live")
        self._promotions = PromotionLog(folder / "promotions.jsonl")
        # What this process has copied last, and when it has to compare all versions again.
        self._copied: State | None = None
        self._compare_at = 0.0

    def files(self) -> set[str]:
        """Return the names of the version files in the folder."""
        entries = os.scandir(self.folder) if self.folder.is_dir() else ()
        return {entry.name for entry in entries if _FILE_NAME.fullmatch(entry.name)}

    def follow(self) -> PromotionId | None:
        """Bring the folder to what the database says, and return the last promotion.

        Raises:
            DBAPIError: the database can't be used.
            OSError, LockedError: the folder can't be changed.
            VersionDamagedError: the row of the live version is damaged.
            SchemaError: the folder has copies of versions, and the database has none of them.
        """
        with self._engine.connect() as connection:
            state = rows.read_state(connection)
        if not state.newest:
            self._check_copied_from(set())
            return None  # the folder may have versions that are to be added: see `first_version`
        is_due = state != self._copied or time.monotonic() > self._compare_at
        if is_due or not self._is_linked(state):
            # Under the lock, so that no process of this host brings the folder to an older state.
            with file_lock(self.folder / ".promote.lock"):
                state = self._copy()
        return state.promotion

    def compare(self) -> None:
        """Compare all versions at the next `follow`: one may be missing."""
        self._copied = None

    def _is_linked(self, state: State) -> bool:
        """Return whether the live link names the file that `state` has, and the file exists."""
        try:
            name = self._link.name()
        except VersionDamagedError:
            return False
        return name == state.live_file and (name is None or (self.folder / name).exists())

    def _check_copied_from(self, files: Iterable[str]) -> None:
        """Raise `SchemaError` if the folder has copies, but of none of the database's `files`.

        A new host gives an empty database a first version. The others keep theirs.
        """
        if (copies := self.files()) and copies.isdisjoint(files):
            raise SchemaError(
                f"the database has none of the {len(copies)} versions of which "
                f"{self.folder.name}/ has copies; they come from another database, or from a later "
                "state of this one: restore it, or start with an empty data directory"
            )

    def _copy(self) -> State:
        """Copy versions and promotions; the live version first, so that a new host soon serves."""
        previous, self._copied = self._copied, None
        # While the lock is held no other process copies, so these are from killed ones.
        for leftover in self.folder.glob(".new-*"):
            leftover.unlink()
        with snapshot(self._engine) as connection:
            state = rows.read_state(connection)
            digests = rows.read_digests(connection)
            is_logged = previous is not None and previous.promotion == state.promotion
            promotions = None if is_logged else rows.read_promotions(connection)
        files = {rows.file_name(number, sha256): number for number, sha256 in digests.items()}
        self._check_copied_from(files.keys())
        if not state.newest:
            return state
        if self._promotions.path.exists() and not self.files():
            # From a time when the folder had the versions; they and their log are kept.
            self._promotions.path.replace(self.folder / "promotions.former.jsonl")
        if state.live is not None:
            self._fetch(state.live, digests.get(state.live, ""))
        if promotions is not None:
            self._promotions.replace(promotions)
        if not self._is_linked(state):
            self._link.point(state.live_file)
        names = self.files()
        for name in sorted(files.keys() - names, key=files.__getitem__):
            try:
                self._fetch(files[name], digests[files[name]])
            except VersionDamagedError as error:  # no reason to stay at another live version
                log.warning("not copied: %s", error)
        for name in names - files.keys():
            (self.folder / name).unlink(missing_ok=True)
        self._copied, self._compare_at = state, time.monotonic() + COMPARE_INTERVAL
        return state

    def _fetch(self, number: int, sha256: str) -> None:
        """Copy the file of a version from its row, unless the folder has it."""
        path = self.folder / rows.file_name(number, sha256)
        if path.exists():
            return
        # In a transaction of its own: PostgreSQL ends one that is idle while a disk is slow.
        with self._engine.connect() as connection:
            content = rows.read_file(connection, number)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            got = "none" if content is None else "another one"
            raise VersionDamagedError(
                f"version {number}: expected the file with the SHA-256 {sha256} in the database, "
                f"got {got}"
            )
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            os.link(file.name, path)
        sync_folder(self.folder)
