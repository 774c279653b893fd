"""What the tests of archives share: a service that has everything, its archive, and commands."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streetlight.service.learning.lease import acquire_lease
from streetlight.service.prediction_log import storage
from streetlight.service.store.engine import write_transaction
from streetlight.service.webhook.events import WEBHOOK_TEST, Event
from streetlight.service.webhook.outbox import store_events
from tests.client import App, Run, invoke

ROW = {"lights": [1, 0, 0.1], "outcome": "stop"}


def place(data_dir: Path, database_url: str | None) -> dict[str, Any]:
    """Return the settings of a service on a data directory and a database."""
    return {"data_dir": data_dir} | ({"database_url": database_url} if database_url else {})


def run(*command: object, **settings: object) -> Run:
    """Run a command that must succeed."""
    result = invoke(*map(str, command), **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def log_prediction(app: App, request_id: str, version: int = 1) -> None:
    """Add a row to the prediction log."""
    with write_transaction(app.services.require_prediction_log()) as connection:
        row = (1.5, request_id, 0, "native", version, "[1.0, 0.0, 0.1]", 0.1, 0)
        storage.insert(connection, [row])


def fill(app: App) -> None:
    """Store something of each kind: rows that are withdrawn, jobs in each state."""
    rows = [
        {"lights": [1, 0, 0.1], "outcome": "stop", "id": "Ампель 🚦"},
        {"lights": [0, 1, 1e-300], "outcome": "walk", "request_id": "r-1"},
        {"lights": [0, 1, 1e-300], "outcome": "stop"},
    ]
    app.expect(201, "POST", "/observations", {"observations": rows}, **{"Idempotency-Key": "a"})
    app.expect(200, "DELETE", "/observations/6")
    app.expect(202, "POST", "/retrain", {"promote": "always"}, **{"Idempotency-Key": "B"})
    app.work()
    app.services.repository.rollback("„zurück“\n", "ops")
    app.post("/v2/repository/models/streetlight/unload")
    app.post("/v2/repository/models/streetlight/load")
    app.expect(202, "POST", "/retrain", {"dataset": "six", "iterations": 1})
    app.work()
    app.expect(202, "POST", "/retrain")
    assert acquire_lease(app.services.engine, "a trainer", 3600)
    given = [{"lights": [0, 0, 1], "outcome": "stop"}, {"lights": [1, 0, 1], "outcome": "walk"}]
    app.expect(202, "POST", "/retrain", {"rows": given})
    app.expect(202, "POST", "/retrain")
    app.expect(200, "DELETE", "/jobs/5")
    with write_transaction(app.services.engine) as connection:
        connection.exec_driver_sql("UPDATE jobs SET key = 'ci' WHERE id = 5")
    store_events(app.services, Event(WEBHOOK_TEST, time.time(), {}))
    for request_id in ("r-1", "r-2", "r-3"):
        log_prediction(app, request_id)
    with write_transaction(app.services.require_prediction_log()) as connection:
        connection.exec_driver_sql("DELETE FROM predictions WHERE id = 3")


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application with something of each kind; for tests that only ask."""
    with App(tmp_path_factory.mktemp("full"), prediction_log=True) as app:
        fill(app)
        yield app


@pytest.fixture(scope="session")
def archive(full: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its archive, which no test changes."""
    path = tmp_path_factory.mktemp("archive") / "archive.zip"
    run("export", path, data_dir=full.data_dir)
    return path
