"""The events of `GET /events`: what has changed in the database and in the folder of the versions.

`event_streams` lets threads read the changes while clients listen, and sends them the events.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.learning.changes import RECENT_JOBS, DatabaseChanges, LedgerState
from streetlight.service.learning.job import Job
from streetlight.service.registry.hosts import Host, list_hosts
from streetlight.service.web.response import dump_json

# Seconds between two listings of the versions, if the folder doesn't change: a file that is
# overwritten doesn't change it.
LIST_INTERVAL = 10.0
# Seconds for which the folder is listed again after a change. The file system's clock may have
# ticks of 10 ms, so a second change may leave the time of the first.
LIST_AGAIN = 1.0


@dataclass(frozen=True)
class LiveVersion:
    """The number of the live version; null if none is live, or if the link is damaged."""

    live: int | None


@dataclass(frozen=True)
class VersionFiles:
    """How many versions have a file, and the highest of their numbers; null if there is none."""

    newest: int | None
    count: int


@dataclass(frozen=True)
class Hosts:
    """The hosts that share the database."""

    hosts: list[Host]


Change = LedgerState | LiveVersion | VersionFiles | Hosts | Job
NAMES = {
    LedgerState: b"observations",
    LiveVersion: b"live",
    VersionFiles: b"versions",
    Hosts: b"hosts",
    Job: b"jobs",
}


class FolderChanges:
    """Reads the changes in the folder of `repository` since the previous call."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._live: LiveVersion | None = None
        self._files: list[tuple[int, int, int]] | None = None
        # When the folder had changed, and when it was listed.
        self._changed = self._listed = 0.0

    def read(self) -> list[Change]:
        """Return the live version and the versions, as far as they have changed."""
        live = self._read_live()
        files = self._read_files() if self._may_have_changed() else self._files
        changes: list[Change] = []
        if live != self._live:
            changes.append(live)
        if files != self._files:
            changes.append(VersionFiles(files[-1][0] if files else None, len(files or ())))
        # Not before: if a read fails, the next call returns the changes.
        self._live, self._files = live, files
        return changes

    def _read_live(self) -> LiveVersion:
        try:
            return LiveVersion(self._repository.live_number())
        except VersionDamagedError:
            return LiveVersion(None)

    def _may_have_changed(self) -> bool:
        try:
            changed = self._repository.folder.stat().st_mtime
        except FileNotFoundError:
            changed = 0.0
        now, listed = time.time(), self._listed
        settled = changed == self._changed and changed + LIST_AGAIN < listed
        if settled and listed <= now < listed + LIST_INTERVAL:
            return False
        self._changed, self._listed = changed, now
        return True

    def _read_files(self) -> list[tuple[int, int, int]]:
        """Return the number of each version, ascending, and what tells its file from another."""
        files = []
        for number in self._repository.versions():
            try:
                status = self._repository.path(number).stat()
            except FileNotFoundError:
                continue  # the file was removed after `versions` listed it
            files.append((number, status.st_ino, status.st_mtime_ns))
        return files


class HostChanges:
    """Reads the hosts that share the database of `engine`; with SQLite, there are none."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._hosts: list[Host] | None = None

    def read(self) -> list[Hosts]:
        """Return the hosts, if another one was added or has another state than before."""
        if self._engine.dialect.name != "postgresql":
            return []
        hosts = list_hosts(self._engine)
        states = [replace(host, seen_at=0.0) for host in hosts]  # each report changes the time
        if states == self._hosts:
            return []
        self._hosts = states
        return [Hosts(hosts)]


class ServiceEvents:
    """The newest event of each kind, and of each job; each event has the next serial number.

    A client that has the events up to a number lacks those `after` it. So one that reads slowly is
    sent only the newest. Threads call `read_database`, and the `read` of `folder`.
    """

    def __init__(self, engine: Engine, repository: ModelRepository) -> None:
        self._database = DatabaseChanges(engine)
        self._hosts = HostChanges(engine)
        self.folder = FolderChanges(repository)
        self.serial = 0
        # In the order of their serial numbers.
        self._events: dict[object, tuple[int, bytes]] = {}
        self._ended_jobs: deque[int] = deque()

    def read_database(self) -> list[Change]:
        """Return what has changed in the database since the previous call."""
        return [*self._database.read(), *self._hosts.read()]

    def add(self, changes: Sequence[Change]) -> None:
        """Add an event for each of `changes`, and remove those of jobs that ended long before."""
        while len(self._ended_jobs) > RECENT_JOBS:
            self._events.pop(self._ended_jobs.popleft(), None)
        for change in changes:
            key = change.id if isinstance(change, Job) else type(change)
            event = b"event: %s\ndata: %s\n\n" % (NAMES[type(change)], dump_json(change))
            self.serial += 1
            self._events.pop(key, None)
            self._events[key] = (self.serial, event)
            if isinstance(change, Job) and change.finished:
                self._ended_jobs.append(change.id)

    def after(self, serial: int) -> list[bytes]:
        """Return the events with a greater serial number, in order."""
        if serial == self.serial:
            return []
        return [event for number, event in self._events.values() if number > serial]
