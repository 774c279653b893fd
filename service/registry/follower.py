"""The follower: a process of each host, which applies the promotions of all hosts to its folder.

`shared_repository` brings the folder to what the database says, and `hosts` has what the follower
reports. By the file `follower` in the data directory, the workers of the host notice if it can't
follow: they go on with the versions of the folder, and don't use the database to predict.
"""

import json
import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy.exc import DBAPIError

from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.registry.hosts import host_name, leave, report
from streetlight.service.registry.rows import PromotionId
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import describe
from streetlight.service.store.timestamp import iso_format

# In seconds: between two polls of the database, two reports of the same promotion, and two updates
# of the file.
POLL_INTERVAL = 0.1
REPORT_INTERVAL = 0.25
FILE_INTERVAL = 0.25
# Seconds without a successful poll, after which the follower writes the problem to the file; and
# without an update of the file, after which the workers report that the follower is missing.
MAX_POLL_AGE = 1.0
MAX_FILE_AGE = 2.0

Missing = Literal["database", "follower"]

# What can keep a host from following.
FAILURES = (DBAPIError, LockedError, OSError, VersionDamagedError)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Why this host may not have applied the last promotion.

    Attributes:
        missing: the database if it can't be used, or the follower if it doesn't run or can't write.
        since: the time of the last successful poll; `None` if there was none.
    """

    missing: Missing
    since: float | None

    def __str__(self) -> str:
        since = f"since {iso_format(self.since)}" if self.since else "yet"
        if self.missing == "database":
            return f"the database has not answered {since}; the log says why"
        return (
            f"the follower, a process of `streetlight serve`, has applied no promotion {since}; "
            "its log says why"
        )


def find_problem(data_dir: Path) -> Problem | None:
    """Return why the host may not have applied the last promotion, or `None` if it has."""
    file = data_dir / "follower"
    try:
        updated, content = file.stat().st_mtime, file.read_text()
    except FileNotFoundError:
        return Problem("follower", None)
    if abs(time.time() - updated) > MAX_FILE_AGE:
        return Problem("follower", updated)
    return Problem(*json.loads(content)) if content else None


def join(repository: SharedRepository, data_dir: Path) -> None:
    """Report this host and apply the last promotion: later ones wait for the host.

    This happens before the workers serve. It raises one of `FAILURES`.
    """
    report(repository.engine, host_name(data_dir), None)
    repository.follow()


class Follower:
    """Applies the promotions to the folder of `repository`, and reports them to the database."""

    def __init__(self, repository: SharedRepository, data_dir: Path) -> None:
        self._repository = repository
        self._engine = repository.engine
        self._file = data_dir / "follower"
        self._name = host_name(data_dir)
        self._reported: PromotionId | None = None
        self._next_report = 0.0
        # What is missing if the next poll fails or hangs.
        self._missing: Missing = "database"
        # When the last poll succeeded, which may be one of an earlier follower.
        problem = find_problem(data_dir)
        self._succeeded = (problem and problem.since) or time.time()

    def run(self, stopping: threading.Event) -> None:
        """Poll the database until `stopping` is set."""
        threading.Thread(target=self._update_file, args=[stopping], daemon=True).start()
        logged: Missing | None = None
        while not stopping.is_set():
            try:
                self._poll()
                self._missing, self._succeeded = "database", time.time()
                logged = None
            except FAILURES as error:
                self._missing = "database" if isinstance(error, DBAPIError) else "follower"
                if logged != self._missing:
                    message = "can't follow the promotions: %s; trying again every %s s"
                    log.warning(message, describe(error), POLL_INTERVAL)
                logged = self._missing
            stopping.wait(POLL_INTERVAL)
        with suppress(DBAPIError):
            leave(self._engine, self._name)

    def _poll(self) -> None:
        if self._next_report == 0:
            # Before the folder changes: promotions wait for this host while it copies versions.
            report(self._engine, self._name, None)
        applied = self._repository.follow()
        if applied != self._reported or time.monotonic() >= self._next_report:
            report(self._engine, self._name, applied)
            self._reported = applied
            self._next_report = time.monotonic() + REPORT_INTERVAL

    def _update_file(self, stopping: threading.Event) -> None:
        """Update the file, also while a poll waits for the database; a thread calls this."""
        written = None
        while not stopping.wait(FILE_INTERVAL):
            fails = time.time() - self._succeeded > MAX_POLL_AGE
            content = json.dumps([self._missing, self._succeeded]) if fails else ""
            with suppress(OSError):  # the workers notice the age of the file
                if content != written:
                    new = self._file.with_name(".follower-new")
                    new.write_text(content)
                    new.replace(self._file)
                    written = content
                self._file.touch()
