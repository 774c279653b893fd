"""The state collector: metrics that are read from the repository and the database on each scrape.

`streetlight.service.observability.metrics` has the metrics that the workers count as they serve.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, case, func, select
from sqlalchemy.exc import SQLAlchemyError

from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning import presence
from streetlight.service.learning.job import State
from streetlight.service.ledger import queries
from streetlight.service.ledger.accuracy import Accuracy, accuracy, recent_accuracy
from streetlight.service.ledger.queries import Filter
from streetlight.service.registry.follower import find_problem
from streetlight.service.registry.hosts import Host, known_hosts
from streetlight.service.store.engine import clock
from streetlight.service.store.tables import UNFINISHED, jobs, webhook_deliveries
from streetlight.service.wiring import Services

# Upper bounds of the histogram buckets for job durations, in seconds.
DURATION_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

# In each worker one scrape at a time reads from the database, so that a database that hangs blocks
# one of its threads and not those that predict. Another scrape waits up to this many seconds, and
# then reports the database as down.
LOCK_TIMEOUT = 1.0
_database_lock = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _JobStats:
    """Statistics of the jobs in one state.

    Attributes:
        count: the number of jobs.
        oldest_age: seconds since the oldest running job started, or since the oldest job in
            another state was submitted.
        duration_count: the number of jobs that have started and ended.
        duration_sum: the sum of their durations in seconds, each from the last start to the end.
        bucket_counts: for each of `DURATION_BUCKETS`, how many of them took at most that long.
    """

    count: int = 0
    oldest_age: float = 0.0
    duration_count: int = 0
    duration_sum: float = 0.0
    bucket_counts: tuple[int, ...] = (0,) * len(DURATION_BUCKETS)


# The number of the webhook's deliveries in each state, and the age of the oldest in seconds.
_DeliveriesByState = dict[str, tuple[int, float]]


class StateCollector(Collector):
    """A Prometheus collector that reads the repository and the database on each scrape.

    If the database can't be read, the metrics from the database are missing and
    `streetlight_database_up` is 0.
    """

    def __init__(self, services: Services) -> None:
        self.repository = services.repository
        self.engine = services.engine
        self.settings = services.settings
        self.shared = services.shared
        self.keys = services.keys

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, with their current values."""
        live = live_version_if_any(self.repository)
        number = live.number if live else 0
        trainers = presence.recent(self.settings.data_dir, self.settings.job_lease)
        yield _gauge("live_version", "The number of the live version; 0 if none is live.", number)
        text = "Seconds since this host last learnt of promotions; 0 while it does, or with SQLite."
        yield _gauge("follower_age_seconds", text, self._follower_age())
        text = "Whether the file of the API keys can be used; if not, each worker keeps its keys."
        yield _gauge("api_keys_file_valid", text, self.keys.problem is None)
        state = self._read_database(number)
        yield _gauge("database_up", "Whether the database responds.", state is not None)
        if state:
            observations, whole, recent, job_stats, hosts, owners, webhook = state
            trainers |= owners
            yield _gauge(
                "observations", "The number of observations that aren't withdrawn.", observations
            )
            yield from _accuracy_metrics(whole, recent)
            yield from _job_metrics(job_stats)
            yield _host_metric(hosts)
            yield from _webhook_metrics(webhook)
        text = "The number of trainers heard from recently; on other hosts, those that run a job."
        yield _gauge("trainers", text, len(trainers))

    def _follower_age(self) -> float:
        problem = find_problem(self.settings.data_dir) if self.shared else None
        if problem is None:
            return 0.0
        return math.inf if problem.since is None else time.time() - problem.since

    def _read_database(
        self, live: int
    ) -> (
        tuple[
            int, Accuracy, Accuracy, dict[str, _JobStats], list[Host], set[str], _DeliveriesByState
        ]
        | None
    ):
        if not _database_lock.acquire(timeout=LOCK_TIMEOUT):
            return None
        try:
            return (
                queries.count(self.engine, Filter()),
                accuracy(self.engine, live),
                recent_accuracy(self.engine, live, self.settings.retrain_window),
                _job_stats(self.engine),
                known_hosts(self.engine, self.repository),
                _owners(self.engine) if self.shared else set(),
                _deliveries(self.engine),
            )
        except SQLAlchemyError:
            log.warning("can't read metrics from the database", exc_info=True)
            return None
        finally:
            _database_lock.release()


def _owners(engine: Engine) -> set[str]:
    """Return the owners of the leases in force: trainers of any host that run a job."""
    query = select(jobs.c.owner).where(
        jobs.c.state == "running", jobs.c.lease_until > clock(engine)
    )
    with engine.connect() as connection:
        return set(connection.execute(query).scalars())


def _job_stats(engine: Engine) -> dict[str, _JobStats]:
    """Return the statistics of the jobs in each state that occurs."""
    duration = jobs.c.finished_at - jobs.c.started_at
    since = case((jobs.c.state == "running", jobs.c.started_at), else_=jobs.c.submitted_at)
    query = select(
        jobs.c.state,
        func.count(),
        clock(engine) - func.min(since),
        func.count(duration),
        func.coalesce(func.sum(duration), 0.0),
        *(func.count().filter(duration <= bound) for bound in DURATION_BUCKETS),
    ).group_by(jobs.c.state)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return {
        state: _JobStats(count, oldest_age, duration_count, duration_sum, tuple(bucket_counts))
        for state, count, oldest_age, duration_count, duration_sum, *bucket_counts in rows
    }


def _deliveries(engine: Engine) -> _DeliveriesByState:
    table = webhook_deliveries
    age = clock(engine) - func.min(table.c.created_at)
    query = select(table.c.state, func.count(), age).group_by(table.c.state)
    with engine.connect() as connection:
        return {state: (count, oldest) for state, count, oldest in connection.execute(query)}


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"streetlight_{name}", help_text, value)


def _accuracy_metrics(whole: Accuracy, recent: Accuracy) -> Iterator[Metric]:
    text = "The number of observations that the live version predicted before they were recorded."
    yield _gauge("live_asked_observations", text, whole.observations)
    if whole.ratio is not None and recent.ratio is not None:
        text = "The share of those observations whose outcome the live version predicted."
        yield _gauge("live_accuracy_ratio", text, whole.ratio)
        text = "The same share of the last of them, as many as STREETLIGHT_RETRAIN_WINDOW."
        yield _gauge("live_recent_accuracy_ratio", text, recent.ratio)
        for end, value in recent.interval._asdict().items():
            text = f"The {end} end of the 95 % Wilson interval of live_recent_accuracy_ratio."
            yield _gauge(f"live_recent_accuracy_{end}_ratio", text, value)


def _job_metrics(stats_by_state: dict[str, _JobStats]) -> Iterator[Metric]:
    count = GaugeMetricFamily("streetlight_jobs", "The number of jobs by state.", labels=["state"])
    oldest = GaugeMetricFamily(
        "streetlight_oldest_job_age_seconds",
        "How long the oldest job has been queued or running; 0 if there is none.",
        labels=["state"],
    )
    duration = HistogramMetricFamily(
        "streetlight_job_duration_seconds",
        "The time from the last start of a job to its end.",
        labels=["state"],
    )
    for state in get_args(State):
        stats = stats_by_state.get(state, _JobStats())
        count.add_metric([state], stats.count)
        if state in UNFINISHED:
            oldest.add_metric([state], stats.oldest_age)
        else:
            bounds = map(str, map(float, DURATION_BUCKETS))
            buckets = [
                *zip(bounds, stats.bucket_counts, strict=True),
                ("+Inf", stats.duration_count),
            ]
            duration.add_metric([state], buckets, stats.duration_sum)
    yield from (count, oldest, duration)


def _host_metric(hosts: list[Host]) -> Metric:
    text = (
        "The number of hosts that share the database, by state: silent if not heard for a second."
    )
    count = GaugeMetricFamily("streetlight_hosts", text, labels=["state"])
    states = Counter(
        "silent" if not host.heard else "behind" if host.behind else "current" for host in hosts
    )
    for state in ("current", "behind", "silent"):
        count.add_metric([state], states[state])
    return count


def _webhook_metrics(deliveries: _DeliveriesByState) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "streetlight_webhook_deliveries",
        "The number of deliveries of the webhook in the last week, by state.",
        labels=["state"],
    )
    for state in ("waiting", "delivered", "failed"):
        count.add_metric([state], deliveries.get(state, (0, 0.0))[0])
    yield count
    text = "How long the oldest delivery of the webhook has waited; 0 if none waits."
    yield _gauge("webhook_waiting_seconds", text, deliveries.get("waiting", (0, 0.0))[1])
