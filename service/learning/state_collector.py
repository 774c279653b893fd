"""The census: how versions, observations and jobs stand when somebody looks at the metrics.

What is counted as it happens is in `metrics`.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, case, func, select
from sqlalchemy.exc import SQLAlchemyError

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning.queue import UNFINISHED, State
from streetlight.service.ledger import queries as observations
from streetlight.service.ledger.queries import Accuracy, Filter
from streetlight.service.store.engine import clock
from streetlight.service.store.tables import jobs

SECONDS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

# A database that doesn't answer may hold one thread of a worker, never those that predict.
PATIENCE_SECONDS = 1.0
_asking = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _JobStats:
    """The jobs of one state: how many, for how long the oldest has been there, how long they took.

    `within` counts those that took at most so many of SECONDS.
    """

    count: int = 0
    oldest: float = 0.0
    timed: int = 0
    seconds: float = 0.0
    within: tuple[int, ...] = (0,) * len(SECONDS)


class StateCollector(Collector):
    """Asks the repository and the database, each time anew; goes on without a database."""

    def __init__(self, repository: ModelRepository, engine: Engine) -> None:
        self.repository = repository
        self.engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield how things stand."""
        live = live_version_if_any(self.repository)
        number = live.number if live else 0
        yield _gauge("live_version", "The version that answers; 0 where there is none.", number)
        asked = self._ask()
        yield _gauge("database_up", "Whether the database answers.", asked is not None)
        if asked:
            observed, accuracy, tallies = asked
            yield _gauge("observations", "Observations that were not withdrawn.", observed)
            yield from _accuracy(accuracy.get(number, Accuracy(0, 0)))
            yield from _jobs(tallies)

    def _ask(self) -> tuple[int, dict[int, Accuracy], dict[str, _JobStats]] | None:
        if not _asking.acquire(timeout=PATIENCE_SECONDS):
            return None
        try:
            return (
                observations.count(self.engine, Filter()),
                observations.accuracy(self.engine),
                _job_stats(self.engine),
            )
        except SQLAlchemyError:
            log.warning("the database can't be asked for metrics", exc_info=True)
            return None
        finally:
            _asking.release()


def _job_stats(engine: Engine) -> dict[str, _JobStats]:
    took = jobs.c.finished_at - jobs.c.started_at
    since = case((jobs.c.state == "running", jobs.c.started_at), else_=jobs.c.submitted_at)
    query = select(
        jobs.c.state,
        func.count(),
        clock(engine) - func.min(since),
        func.count(took),
        func.coalesce(func.sum(took), 0.0),
        *(func.count().filter(took <= seconds) for seconds in SECONDS),
    ).group_by(jobs.c.state)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return {
        state: _JobStats(count, oldest, timed, seconds, tuple(within))
        for state, count, oldest, timed, seconds, *within in rows
    }


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"streetlight_{name}", text, value)


def _accuracy(done: Accuracy) -> Iterator[Metric]:
    text = "Observations that the live version was asked before it could know them."
    yield _gauge("live_asked_observations", text, done.observations)
    if done.observations:
        text = "Which part of them it had decided rightly."
        yield _gauge("live_accuracy_ratio", text, done.correct / done.observations)


def _jobs(tallies: dict[str, _JobStats]) -> Iterator[Metric]:
    count = GaugeMetricFamily("streetlight_jobs", "Jobs by state.", labels=["state"])
    oldest = GaugeMetricFamily(
        "streetlight_oldest_job_age_seconds",
        "Time that the oldest job waits or runs by now; 0 where there is none.",
        labels=["state"],
    )
    took = HistogramMetricFamily(
        "streetlight_job_duration_seconds",
        "Time from a job's last start to its end.",
        labels=["state"],
    )
    for state in get_args(State):
        tally = tallies.get(state, _JobStats())
        count.add_metric([state], tally.count)
        if state in UNFINISHED:
            oldest.add_metric([state], tally.oldest)
        else:
            counts = zip(map(str, map(float, SECONDS)), tally.within, strict=True)
            buckets = [*counts, ("+Inf", tally.timed)]
            took.add_metric([state], buckets, tally.seconds)
    yield from (count, oldest, took)
