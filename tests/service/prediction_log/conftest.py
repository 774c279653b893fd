"""What the tests of the prediction log share: an empty log, and what recorders have counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from streetlight.service.observability import metrics
from tests.service.services import services_in


@pytest.fixture
def log_engine(tmp_path: Path, database_url: str | None) -> Iterator[Engine]:
    """An engine on an empty prediction log."""
    with services_in(tmp_path, database_url, prediction_log=True) as services:
        yield services.require_prediction_log()
        services.require_prediction_log().dispose()


@pytest.fixture
def counted() -> Callable[[], dict[str, int]]:
    """Return how many predictions were counted since the start of the test, by result."""

    def count() -> Counter[str]:
        return Counter(
            {
                sample.labels["result"]: int(sample.value)
                for metric in metrics.collect()
                for sample in metric.samples
                if sample.name == "streetlight_prediction_log_rows_total"
            }
        )

    before = count()
    return lambda: dict(count() - before)
