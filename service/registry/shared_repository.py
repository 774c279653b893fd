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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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
    existing,
)
from streetlight.model.registry.version import Version, VersionDamagedError, write
from streetlight.model.registry.version_link import sync_folder
from streetlight.model.training.fit import TrainingResult
from streetlight.service.registry import rows
from streetlight.service.registry.hosts import wait_for_hosts
from streetlight.service.registry.rows import PromotionId, State
from streetlight.service.store import engine as database
from streetlight.service.store.schema import SchemaError

# The key of the advisory lock of the transactions that change versions or promotions.
VERSIONS_LOCK = database.WRITE_LOCK + 2
_FILE_NAME = re.compile(rf"([1-9][0-9]{{0,8}})-[0-9a-f]{{{rows.DIGEST_LENGTH}}}\.npz")
# Seconds between two comparisons of the folder with all rows: a version may have been removed.
COMPARE_INTERVAL = 10.0
# Seconds that a thread waits until another one has asked the database for a version.
MAX_ASKING = 0.1

log = logging.getLogger(__name__)


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
        self._asking = threading.Lock()
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
        if number is None:
            return None
        self.follow()
        return self.load(number)

    def publish(
        self, training: TrainingResult, dataset: Dataset, provenance: Provenance
    ) -> Version:
        """Insert a training as the next version and return it; the version isn't live yet."""
        draft = self.draft(training, dataset, provenance)
        with self.transaction() as connection:
            number = self.insert(connection, draft)
        self.follow()
        return self.load(number)

    def path(self, number: int) -> Path:
        """Return the path of the file of version `number`, which may not exist."""
        if number not in self._names:
            self.versions()
        return self.folder / self._names.get(number, f"{number}.npz")

    def versions(self) -> list[int]:
        """Return the numbers of the version files in the folder, ascending."""
        self._names = {int(name.partition("-")[0]): name for name in self._files()}
        return sorted(self._names)

    def _files(self) -> set[str]:
        """Return the names of the version files in the folder."""
        entries = os.scandir(self.folder) if self.folder.is_dir() else ()
        return {entry.name for entry in entries if _FILE_NAME.fullmatch(entry.name)}

    def newest_number(self) -> int:
        """Return the highest number that was given to a version; 0 if none was."""
        return self.state().newest

    def load(self, number: int) -> Version:
        """Return version `number`, checked; if the folder lacks a copy, fetch it.

        A number that no host can have given yet is refused without the database.

        Raises:
            VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
            DBAPIError: the folder lacks it, and the database can't be used.
            LockedError: the folder lacks it, and another thread asks the database for a version.
        """
        try:
            return super().load(number)
        except VersionNotFoundError:
            known = self.versions()
            if number in known:  # by another name
                return super().load(number)
            if number > 1 + max(known, default=0):
                raise
        except VersionDamagedError:
            if self.path(number).exists():
                raise
        # One thread: the others answer requests that don't need the database.
        if not self._asking.acquire(timeout=MAX_ASKING):
            raise LockedError("the database is being asked for a version; try again in a second")
        try:
            with self.engine.connect() as connection:
                exists = rows.has_version(connection, number)
            # Any client may ask for a number: only for one that exists, all rows are compared.
            if exists:
                self._copied = None
                self.follow()
        finally:
            self._asking.release()
        return super().load(number)

    def _load(self, number: int, name: str) -> Version:
        try:
            return super()._load(number, name)
        except VersionDamagedError as error:
            # An error of the system or a lack of memory may pass.
            if not isinstance(error.__cause__, OSError | MemoryError):
                path = self.folder / name
                with suppress(OSError):  # another process has removed it, or it can't be
                    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                    if name != rows.file_name(number, sha256):
                        path.unlink()  # `follow` copies it again
            raise

    def follow(self) -> PromotionId | None:
        """Bring the folder to what the database says, and return the last promotion.

        Raises:
            DBAPIError: the database can't be used.
            OSError, LockedError: the folder can't be changed.
            VersionDamagedError: the row of the live version is damaged.
            SchemaError: the folder has copies of versions, and the database has none of them.
        """
        state = self.state()
        if not state.newest:
            self._check_copied_from(set())
            return None  # the folder may have versions that are to be added: see `first_version`
        is_due = state != self._copied or time.monotonic() > self._compare_at
        if is_due or not self._is_linked(state):
            # Under the lock, so that no process of this host brings the folder to an older state.
            with self.lock("promote"):
                state = self._copy()
        return state.promotion

    def try_to_follow(self) -> None:
        """Follow, or log why this host can't: `lagging_hosts` names it."""
        try:
            self.follow()
        except (DBAPIError, LockedError, OSError, VersionDamagedError) as error:
            log.warning("this host can't follow the promotions: %s", database.describe(error))

    def lagging_hosts(self) -> list[str]:
        """Wait up to 2 s for all hosts to apply the last promotion; return those that haven't."""
        try:
            promotion = self.state().promotion
            return wait_for_hosts(self.engine, promotion) if promotion else []
        except DBAPIError as error:
            # Not an error of the change, which is done: a rollback that is repeated goes back more.
            return [f"unknown hosts, because {database.describe(error)}"]

    @contextmanager
    def _changing(self) -> Iterator[LiveChange]:
        # Another host may have published the version just now. A host whose folder can't be changed
        # may still change what is live; it is among the `lagging_hosts`.
        with suppress(LockedError, OSError, VersionDamagedError):
            self.follow()
        with self.transaction() as connection:
            live = rows.read_state(connection).live
            history = live_history(rows.read_promotions(connection))
            yield LiveChange(live, history, partial(_record, connection, live))
        self.try_to_follow()

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
        if (copies := self._files()) and copies.isdisjoint(files):
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
        with database.snapshot(self.engine) as connection:
            state = rows.read_state(connection)
            digests = rows.read_digests(connection)
            is_logged = previous is not None and previous.promotion == state.promotion
            promotions = None if is_logged else rows.read_promotions(connection)
        files = {rows.file_name(number, sha256): number for number, sha256 in digests.items()}
        self._check_copied_from(files.keys())
        if not state.newest:
            return state
        if self._promotions.path.exists() and not self.versions():
            # From a time when the folder had the versions; they and their log are kept.
            self._promotions.path.replace(self.folder / "promotions.former.jsonl")
        if state.live is not None:
            self._fetch(state.live, digests.get(state.live, ""))
        if promotions is not None:
            self._promotions.replace(promotions)
        if not self._is_linked(state):
            self._link.point(state.live_file)
        names = self._files()
        for name in sorted(files.keys() - names, key=files.__getitem__):
            try:
                self._fetch(files[name], digests[files[name]])
            except VersionDamagedError as error:  # no reason to stay at another live version
                log.warning("not copied: %s", error)
        for name in names - files.keys():
            (self.folder / name).unlink(missing_ok=True)
        self.versions()
        self._copied, self._compare_at = state, time.monotonic() + COMPARE_INTERVAL
        return state

    def _fetch(self, number: int, sha256: str) -> None:
        """Copy the file of a version from its row, unless the folder has it."""
        path = self.folder / rows.file_name(number, sha256)
        if path.exists():
            return
        # In a transaction of its own: PostgreSQL ends one that is idle while a disk is slow.
        with self.engine.connect() as connection:
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


def _record(
    connection: Connection, live: int | None, action: Action, number: int, reason: str
) -> Promotion:
    if action != "unload" and number not in (digests := rows.read_digests(connection)):
        # The folder of this host may still have a copy of a version that was removed just now.
        raise VersionNotFoundError(f"no version {number}; {existing(list(digests))}")
    return rows.insert_promotion(connection, action, number, live, reason)
