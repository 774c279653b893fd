"""`SharedRepository`: versions and promotions in a database that many hosts share.

The folder of each host is a copy, in which requests find the versions as in the folder of a
`ModelRepository`; only a change uses the database. `folder_copy` makes the copy.
"""

import hashlib
import io
import logging
import threading
from collections.abc import Iterator
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
from streetlight.model.training.fit import TrainingResult
from streetlight.service.registry import rows
from streetlight.service.registry.folder_copy import FolderCopy
from streetlight.service.registry.hosts import wait_for_hosts
from streetlight.service.registry.rows import PromotionId, State
from streetlight.service.store import engine as database

# The key of the advisory lock of the transactions that change versions or promotions.
VERSIONS_LOCK = database.WRITE_LOCK + 2
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
        self._copy = FolderCopy(folder, engine)
        self._asking = threading.Lock()
        # The name of each version's file, as of the last look into the folder.
        self._names: dict[int, str] = {}

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
        self._names = {int(name.partition("-")[0]): name for name in self._copy.files()}
        return sorted(self._names)

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
                self._copy.compare()
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
        """Bring the folder to what the database says; see `FolderCopy.follow`."""
        promotion = self._copy.follow()
        self._names = {}  # a number may have come again, with another name
        return promotion

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
            yield LiveChange(live, history, partial(_record, connection, live=live))
        self.try_to_follow()


def _record(
    connection: Connection,
    action: Action,
    number: int,
    reason: str,
    key: str | None,
    *,
    live: int | None,
) -> Promotion:
    if action != "unload" and not rows.has_version(connection, number):
        # The folder of this host may still have a copy of a version that was removed just now.
        numbers = list(rows.read_digests(connection))
        raise VersionNotFoundError(f"no version {number}; {existing(numbers)}")
    return rows.insert_promotion(connection, action, number, live, reason, key=key)
