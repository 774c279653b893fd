"""PostgreSQL behind a pooler."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from streetlight.service.store.engine import open_engine, write_transaction
from tests import databases
from tests.databases import POSTGRESQL, pgbouncer
from tests.server import free_port
from tests.service.conftest import Site

needs_postgresql = pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL")
pytestmark = [pytest.mark.process, needs_postgresql]


def test_pgbouncer_may_run_each_transaction_on_another_connection(tmp_path: Path) -> None:
    """With its defaults, which refuse the startup parameter `options`."""
    with (
        databases.fresh("postgresql") as url,
        pgbouncer(str(url), free_port()) as pooled,
        Site(tmp_path, pooled) as site,
        ThreadPoolExecutor(12) as pool,
    ):
        site.trainer()
        job = site.retrain(seed=5)

        def record(number: int) -> int:
            body = {"lights": [1, 0, number % 2], "outcome": "walk"}
            key = {"Idempotency-Key": f"key-{number}"}
            return site.request("POST", "/observations", body, **key).status

        assert list(pool.map(record, range(144))) == [201] * 144
        assert len(site.observations()) == 144
        assert site.wait_until_finished(job)["state"] == "succeeded"
        engine = open_engine(pooled)
        with write_transaction(engine) as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "12s"
        engine.dispose()
