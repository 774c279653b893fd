"""`Recorder`: log predictions without delaying their responses.

A worker adds predictions to a bounded buffer; a thread writes them to the database, and deletes
those that are too old or too many. What the log doesn't get is counted. `storage` has the
statements, `queries` reads the log.
"""

import hashlib
import logging
import threading
import time
from collections import Counter, deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from streetlight.model.dataset import outcome_name
from streetlight.service.observability import metrics
from streetlight.service.prediction_log import storage
from streetlight.service.prediction_log.queries import MAX_DELAY, Dialect
from streetlight.service.store.engine import PREDICTION_LOG_LOCK, ordered_write_transaction

# The results that are counted.
RESULTS = ("written", "over_limit", "sampled_out", "buffer_full", "write_failed")
# Rows that are logged of one request.
MAX_ROWS = 100
# Bound of the buffer, and of what is taken from it to be written; each then takes about 15 MiB. A
# row has a number for each light, and as many as this for everything else.
MAX_NUMBERS = 500_000
ROW_NUMBERS = 16
# Seconds between two writes.
WRITE_INTERVAL = 0.5
# Rows of one transaction; a request that begins in it may exceed this.
BATCH_SIZE = 1000
# Seconds between two deletions while nothing is written.
DELETE_INTERVAL = 10
# Rows that a transaction deletes, besides two for each row that it inserts.
DELETE_SIZE = 1000
# Seconds in which a worker that stops writes the rest of its buffer.
STOP_TIMEOUT = 5

log = logging.getLogger(__name__)


class PredictedRows(NamedTuple):
    """The predictions of one request.

    Attributes:
        at: the time of the predictions, in seconds since 1970.
        request_id: the id of the request.
        dialect: the protocol of the request.
        version: the version that predicted.
        lights: one light state, or an array of many.
        scores: their scores.
    """

    at: float
    request_id: str
    dialect: Dialect
    version: int
    lights: list[float] | npt.NDArray[Any]
    scores: list[float] | npt.NDArray[np.float64]

    def rows(self) -> list[storage.Row]:
        """Return the values of `storage.COLUMNS` for each row."""
        at, request_id, dialect, version, lights, scores = self
        states = [lights] if isinstance(lights, list) else lights.tolist()
        return [
            # `str` writes a list of finite floats as `json.dumps` does, in a third of the time.
            (
                at,
                request_id,
                i,
                dialect,
                version,
                str(state),
                score,
                int(outcome_name(score) == "walk"),
            )
            for i, (state, score) in enumerate(zip(states, scores, strict=True))
        ]


class Recorder:
    """Logs the predictions of a worker in the database of `engine`.

    Args:
        engine: the engine of the database.
        sample: the share of the requests that are logged.
        max_rows: the largest number of predictions in the log.
        max_age: the seconds after which a prediction is deleted from the log.
    """

    def __init__(self, engine: Engine, sample: float, max_rows: int, max_age: float) -> None:
        self._engine = engine
        self._sample = sample
        self._max_rows = max_rows
        self._max_age = max_age
        self._lock = threading.Lock()  # of the next three, the rest is the thread's
        self._buffer: deque[PredictedRows] = deque()
        self._numbers = 0
        self._left_out: Counter[str] = Counter()
        self._taken: deque[PredictedRows] = deque()
        self._batch: list[storage.Row] = []
        self._delete_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread that writes the buffer."""
        for result in RESULTS:
            metrics.count_logged(result, 0)  # so that the increase to the first row is seen
        self._thread.start()

    def stop(self) -> None:
        """Write the rest of the buffer; after `STOP_TIMEOUT` seconds, count what is lost."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT)
        with self._lock:
            waiting = [*self._taken, *self._buffer]
            lost = len(self._batch) + sum(len(entry.scores) for entry in waiting)
            self._left_out["write_failed"] += lost
        self._count_left_out()
        if lost:  # the counters end with the server
            log.error("%d predictions are not in the prediction log: the worker stopped", lost)

    def record(self, entry: PredictedRows) -> None:
        """Add predictions to the buffer, or count why they are left out.

        All requests with the same id are logged, or none.
        """
        if not is_sampled(entry.request_id, self._sample):
            self._leave_out("sampled_out", len(entry.scores))
            return
        if isinstance(entry.lights, list):
            numbers = len(entry.lights) + ROW_NUMBERS
        else:
            self._leave_out("over_limit", max(len(entry.lights) - MAX_ROWS, 0))
            # Copies: the arrays may be as large as the request, and be part of its body.
            lights = np.array(entry.lights[:MAX_ROWS], dtype=np.float64)
            entry = entry._replace(lights=lights, scores=list(map(float, entry.scores[:MAX_ROWS])))
            numbers = lights.size + ROW_NUMBERS * len(lights)
        with self._lock:
            self._numbers += numbers
            if self._numbers <= MAX_NUMBERS:
                self._buffer.append(entry)
                return
            self._numbers -= numbers
        self._leave_out("buffer_full", len(entry.scores))

    def write(self) -> None:
        """Write the buffer to the database, and delete rows that the log must not keep.

        An error is logged, and the rows are kept for the next time.
        """
        try:
            while self._write_batch():
                self._count_left_out()
        except Exception:
            log.exception("can't write the prediction log; trying again")
        self._count_left_out()

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_INTERVAL):
            self.write()
        self.write()

    def _write_batch(self) -> bool:
        """Do one transaction, and return whether there may be work for another one."""
        self._fill_batch()
        count, now = len(self._batch), time.monotonic()
        if not count and now < self._delete_at:
            return False
        with ordered_write_transaction(self._engine, PREDICTION_LOG_LOCK) as connection:
            if count:
                storage.insert(connection, self._batch)
            limit = 2 * count + DELETE_SIZE
            deleted = storage.delete_oldest(connection, limit, self._max_rows, self._max_age)
        self._batch = []
        metrics.count_logged("written", count)
        self._delete_at = now if deleted == limit else now + DELETE_INTERVAL
        return count >= BATCH_SIZE

    def _fill_batch(self) -> None:
        """Take rows from the buffer, and drop those that are too old."""
        oldest = time.time() - MAX_DELAY
        rows = [row for row in self._batch if row[0] >= oldest]
        expired = len(self._batch) - len(rows)
        while len(rows) < BATCH_SIZE:
            if not self._taken:
                with self._lock:
                    self._taken, self._buffer, self._numbers = self._buffer, deque(), 0
            if not self._taken:
                break
            entry = self._taken.popleft()
            if entry.at < oldest:
                expired += len(entry.scores)
            else:
                rows += entry.rows()
        self._batch = rows
        self._leave_out("write_failed", expired)

    def _leave_out(self, reason: str, count: int) -> None:
        with self._lock:
            self._left_out[reason] += count

    def _count_left_out(self) -> None:
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
        for reason, count in left_out.items():
            metrics.count_logged(reason, count)


def is_sampled(request_id: str, sample: float) -> bool:
    """Return whether a request is part of a sample, which is the same in each process."""
    return sample >= 1 or _position(request_id) < sample


def _position(request_id: str) -> float:
    """Return a number from 0 to 1 that looks random."""
    digest = hashlib.blake2b(request_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
