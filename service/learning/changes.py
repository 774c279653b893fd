"""What has changed in the database since the last look: in the ledger, and which jobs.

One short query finds out that nothing has. `queue` reads the jobs.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, text

from streetlight.service.learning import queue
from streetlight.service.learning.job import Job
from streetlight.service.store.tables import UNFINISHED

# How many jobs are read at the first look, besides those that haven't ended.
RECENT_JOBS = 10

# As text, since both databases use a partial index only for a condition without parameters. Each
# part reads an index: the entries that are new, withdrawn or unfinished.
_STATE = text(
    f"""
    SELECT added, newest, withdrawn, newest_job, unfinished, revisions FROM
    (SELECT count(*) AS added, max(id) AS newest FROM observations WHERE id > :latest) AS a,
    (SELECT count(*) AS withdrawn FROM observations WHERE withdrawn_at IS NOT NULL) AS b,
    (SELECT max(id) AS newest_job FROM jobs) AS c,
    (SELECT count(*) AS unfinished, sum(revision) AS revisions FROM jobs
     WHERE state IN {UNFINISHED}) AS d
    """  # noqa: S608 - a constant
)


@dataclass(frozen=True)
class LedgerState:
    """How many observations the ledger has, and the id of the latest; 0 if there is none.

    `total` doesn't count the withdrawn ones.
    """

    total: int
    withdrawn: int
    latest: int


class DatabaseChanges:
    """Reads the changes since the previous call; the first call reads the current state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger: LedgerState | None = None
        # Changes with each change of a job: a job that ends stays so, and revisions only increase.
        self._queue: tuple[int | None, ...] | None = None
        # The revision of each job that hasn't ended, and the id of the newest job.
        self._revisions: dict[int, int] = {}
        self._newest_job = 0

    def read(self) -> list[LedgerState | Job]:
        """Return the state of the ledger and the jobs, as far as they have changed."""
        known = self._ledger or LedgerState(0, 0, 0)
        with self._engine.connect() as connection:
            row = connection.execute(_STATE, {"latest": known.latest}).one()
        rows = known.total + known.withdrawn + row.added
        ledger = LedgerState(rows - row.withdrawn, row.withdrawn, row.newest or known.latest)
        jobs = (row.newest_job, row.unfinished, row.revisions)
        changes: list[LedgerState | Job] = []
        if jobs != self._queue:
            changes += self._changed_jobs(row.newest_job or 0)
        if ledger != self._ledger:
            changes.append(ledger)
        self._ledger, self._queue = ledger, jobs
        return changes

    def _changed_jobs(self, newest: int) -> list[Job]:
        if self._queue is None:
            self._revisions = dict.fromkeys(queue.unfinished(self._engine), -1)
            self._newest_job = newest - RECENT_JOBS
        changed, missing = queue.changed(self._engine, self._revisions, self._newest_job)
        for job in changed:
            self._newest_job = max(self._newest_job, job.id)
            self._revisions[job.id] = job.revision
        for number in missing | {job.id for job in changed if job.finished}:
            del self._revisions[number]
        return changed
