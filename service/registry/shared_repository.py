"""`SharedRepository`: versions and promotions in a database that many hosts share.

The folder of each host is a copy, in which requests find the versions as in the folder of a
`ModelRepository`; only a change uses the database. The copy differs from that folder in the names
of the files, `3-<digest>.npz`: after a failover that lost commits, a number can come again with
other content.
"""

import hashlib
import io
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from streetlight.model.dataset import Dataset
from streetlight.model.exam import Exam
from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.manifest import Manifest, Provenance, describe
from streetlight.model.registry.promotion_log import Action, Promotion, live_history
from streetlight.model.registry.repository import (
    LiveChange,
    ModelRepository,
    VersionNotFoundError,
)
from streetlight.model.registry.version import Version, VersionDamagedError, write
from streetlight.model.registry.version_link import sync_folder
from streetlight.model.training.fit import TrainingResult
from streetlight.service.registry import rows
from streetlight.service.registry.hosts import wait_for_hosts
from streetlight.service.registry.rows import PromotionId, State
from streetlight.service.store import engine as database

# The key of the advisory lock of the transactions that change versions or promotions.
VERSIONS_LOCK = database.WRITE_LOCK + 2
_FILE_NAME = re.compile(rf"([1-9][0-9]{{0,8}})-[0-9a-f]{{{rows.DIGEST_LENGTH}}}\.npz")
# Seconds between two comparisons of the folder with all rows: a version may have been removed.
COMPARE_INTERVAL = 10.0
# Seconds that a thread waits until another one has asked the database for a version.
MAX_ASKING = 0.1

log = logging.getLogger(__name__)


class VersionsMissingError(Exception):
    """The database has no versions, but the folder has copies of some."""


@dataclass
class Draft:
    """A trained version that isn't published yet; its manifest has the number 0."""

    repository: "SharedRepository"
    training: TrainingResult
    dataset: Dataset
    exam: Exam | None
    manifest: Manifest
    _encoded: tuple[int, bytes] = (0, b"")

    @property
    def version(self) -> Version:
        """The version, without a file."""
        return Version(Path("draft"), self.manifest, self.training.network)

    def encode(self, number: int) -> bytes:
        """Return the content of the file as that of version `number`; a repeated call is cheap."""
        if self._encoded[0] != number:
            file = io.BytesIO()
            write(file, number, self.manifest, self.training, self.dataset, exam=self.exam)
            self._encoded = number, file.getvalue()
        return self._encoded[1]


class SharedRepository(ModelRepository):
    """The versions in the database of `engine`, and the copy of them in `folder`.

    Methods that change versions or promotions raise `DBAPIError` if the database can't be used; the
    others read the copy.
    """

    def __init__(self, folder: Path, engine: Engine) -> None:
        super().__init__(folder)
        self.engine = engine
        self._asking_lock = threading.Lock()
        # The name of each version's file, as of the last look into the folder.
        self._names: dict[int, str] = {}
        # What this process has copied last, and when it has to compare all versions again.
        self._copied: State | None = None
        self._compare_at = 0.0

    def draft(self, training: TrainingResult, dataset: Dataset, provenance: Provenance) -> Draft:
        """Return a training as a version that `insert` can publish."""
        manifest = describe(training, dataset, provenance)
        draft = Draft(self, training, dataset, provenance.exam, manifest)
        # A large network takes seconds, for which no other process should wait. The number is
        # another one only if another version is published meanwhile.
        draft.encode(1 + self.newest_number())
        return draft

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction in which no other one changes versions."""
        with database.ordered_write_transaction(self.engine, VERSIONS_LOCK) as connection:
            yield connection

    def insert(self, connection: Connection, draft: Draft) -> int:
        """Insert a draft as the next version in a `transaction`, and return its number."""
        number = 1 + rows.read_state(connection).newest
        rows.insert_version(connection, number, draft.manifest.job, draft.encode(number))
        return number

    def state(self, connection: Connection | None = None) -> State:
        """Return what the database says, as `connection` sees it if there is one."""
        if connection:
            return rows.read_state(connection)
        with self.engine.connect() as new_connection:
            return rows.read_state(new_connection)

    def version_of_job(self, job: int) -> Version | None:
        """Return the version that a job has published; `None` if it has published none."""
        with self.engine.connect() as connection:
            number = rows.number_of_job(connection, job)
        return None if number is None else self.load(number)

    def publish(
        self, training: TrainingResult, dataset: Dataset, provenance: Provenance
    ) -> Version:
        """Insert a training as the next version and return it; the version isn't live yet."""
        draft = self.draft(training, dataset, provenance)
        with self.transaction() as connection:
            number = self.insert(connection, draft)
        return self.load(number)

    def path(self, number: int) -> Path:
        """Return the path of the file of version `number`, which may not exist."""
        name = self._names.get(number)
        if name is None or not (self.folder / name).exists():
            self.versions()
            name = self._names.get(number, f"{number}.npz")
        return self.folder / name

    def versions(self) -> list[int]:
        """Return the numbers of the version files in the folder, ascending."""
        entries = os.scandir(self.folder) if self.folder.is_dir() else ()
        found = (_FILE_NAME.fullmatch(entry.name) for entry in entries)
        self._names = {int(name[1]): name[0] for name in found if name}
        return sorted(self._names)

    def newest_number(self) -> int:
        """Return the highest number that was given to a version; 0 if none was."""
        return self.state().newest

    def load(self, number: int) -> Version:
        """Return version `number`, checked; if the folder lacks it or it is damaged, copy it.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
            DBAPIError: the folder lacks it, and the database can't be used.
            LockedError: the folder lacks it, and another thread asks the database for a version.
        """
        try:
            return super().load(number)
        except VersionDamagedError:
            self.path(number).unlink(missing_ok=True)
        except VersionNotFoundError:
            with self._asking():
                if number > self.newest_number():
                    raise
        with self._asking():
            self._copied = None
            self.follow()
        return super().load(number)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Let one thread ask the database; the others answer requests that don't need it."""
        if not self._asking_lock.acquire(timeout=MAX_ASKING):
            raise LockedError("the database is being asked for a version; try again in a second")
        try:
            yield
        finally:
            self._asking_lock.release()

    def follow(self) -> PromotionId | None:
        """Bring the folder to what the database says, and return the last promotion.

        Raises:
            DBAPIError: the database can't be used.
            OSError, LockedError: the folder can't be changed.
            VersionDamagedError: the row of a version is damaged.
            VersionsMissingError: the database has no versions, but the folder has copies of some.
        """
        state = self.state()
        if not state.newest:
            self._check_not_copied()
            return None  # the folder may have versions that are to be added: see `first_version`
        is_due = state != self._copied or time.monotonic() > self._compare_at
        if is_due or not self._is_linked(state):
            # Under the lock, so that no process of this host brings the folder to an older state.
            with self.lock("promote"):
                state = self._copy()
        return state.promotion

    def try_to_follow(self) -> None:
        """Follow a promotion that is done, or log why this host can't: `lagging_hosts` names it."""
        try:
            self.follow()
        except (DBAPIError, LockedError, OSError, VersionDamagedError) as error:
            log.warning("this host can't apply the promotion: %s", database.describe(error))

    def lagging_hosts(self) -> list[str]:
        """Wait up to 2 s for all hosts to apply the last promotion; return those that haven't."""
        promotion = self.state().promotion
        return wait_for_hosts(self.engine, promotion) if promotion else []

    @contextmanager
    def _changing(self) -> Iterator[LiveChange]:
        with self.transaction() as connection:
            live = rows.read_state(connection).live
            history = live_history(rows.read_promotions(connection))
            yield LiveChange(live, history, partial(_record, connection, live))
        self.try_to_follow()

    def _is_linked(self, state: State) -> bool:
        """Return whether the live link names the version that `state` has."""
        try:
            return self._link.name() == state.live_file
        except VersionDamagedError:
            return False

    def _check_not_copied(self) -> None:
        """Raise `VersionsMissingError` if the folder has copies; the database has no version."""
        if copies := self.versions():
            raise VersionsMissingError(
                f"the database has no versions, but {self.folder.name}/ has copies of "
                f"{len(copies)} from another database, or from a later state of this one: restore "
                "the database, or start with an empty data directory"
            )

    def _copy(self) -> State:
        """Copy versions and promotions; the live version first, so that a new host soon serves."""
        previous, self._copied = self._copied, None
        # While the lock is held no other process copies, so these are from killed ones.
        for leftover in self.folder.glob(".new-*"):
            leftover.unlink()
        with self.engine.connect() as connection:
            state = rows.read_state(connection)
            if not state.newest:
                self._check_not_copied()
                return state
            if self._promotions.path.exists() and not self.versions():
                # From a time when the folder had the versions; they and their log are kept.
                self._promotions.path.replace(self.folder / "promotions.former.jsonl")
            if state.live is not None:
                self._fetch(connection, state.live, state.sha256)
            if previous is None or previous.promotion != state.promotion:
                self._promotions.replace(rows.read_promotions(connection))
            if not self._is_linked(state):
                self._link.point(state.live_file)
            digests = rows.read_digests(connection)
            for number, sha256 in digests.items():
                self._fetch(connection, number, sha256)
        # After a failover, the folder may have two files of one number.
        kept = {rows.file_name(*version) for version in digests.items()}
        for file in self.folder.iterdir():
            if _FILE_NAME.fullmatch(file.name) and file.name not in kept:
                file.unlink(missing_ok=True)
        self._copied, self._compare_at = state, time.monotonic() + COMPARE_INTERVAL
        return state

    def _fetch(self, connection: Connection, number: int, sha256: str | None) -> None:
        """Copy the file of a version from its row, unless the folder has it."""
        path = self.folder / rows.file_name(number, sha256 or "")
        if path.exists():
            return
        content = rows.read_file(connection, number)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            got = "none" if content is None else "another file"
            raise VersionDamagedError(
                f"version {number}: expected its file in the database, got {got}"
            )
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            os.link(file.name, path)
        sync_folder(self.folder)


def _record(
    connection: Connection, live: int | None, action: Action, number: int, reason: str
) -> Promotion:
    return rows.insert_promotion(connection, action, number, live, reason)
