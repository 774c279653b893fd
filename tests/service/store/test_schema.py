"""A database of any revision becomes as a new one, keeps its rows, and answers requests.

`test_refused_schema` has the databases that are refused.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from psycopg import Cursor
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from streetlight.service import store
from streetlight.service.store import postgresql
from streetlight.service.store.engine import open_engine, write_transaction
from streetlight.service.store.schema import LEDGER, PREDICTION_LOG, Schema, upgrade
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import Services
from tests import databases
from tests.server import FORKS, STREETLIGHT, Fork, environment
from tests.service.services import services_in
from tests.service.store import stored


@contextmanager
def opened(data_dir: Path, database_url: str | None) -> Iterator[Services]:
    """Yield services with the prediction log, and close both databases."""
    with services_in(data_dir, database_url, prediction_log=True) as services:
        yield services
        services.require_prediction_log().dispose()


def description(services: Services) -> object:
    """Return the description of both databases."""
    return [stored.description(it) for it in (services.engine, services.require_prediction_log())]


@pytest.fixture
def new(tmp_path: Path, database_kind: str) -> Iterator[object]:
    """The description of a new database."""
    with databases.fresh(database_kind) as url, opened(tmp_path / "new", url) as services:
        yield description(services)


@pytest.mark.parametrize("revision", stored.REVISIONS)
def test_a_stored_database_becomes_as_a_new_one(
    tmp_path: Path, database_url: str | None, new: object, revision: str
) -> None:
    engine = stored.load(revision, tmp_path, database_url)
    before = stored.rows(engine)
    engine.dispose()
    assert before["observations"]
    assert before["jobs"]
    with opened(tmp_path, database_url) as services:
        assert description(services) == new
        after = stored.rows(services.engine)
        for table, rows in before.items():
            assert len(after[table]) == len(rows)
            for row, kept in zip(rows, after[table], strict=True):
                assert kept | row == kept
        client = create_app(services).test_client()
        for path in ("/observations", "/jobs/1", "/predictions", "/versions"):
            response = client.get(path)
            assert response.status_code == 200, response.text
        observation = {"lights": [1, 1, 1], "outcome": "stop"}
        assert client.post("/observations", json=observation).status_code == 201
        assert client.post("/retrain").status_code == 202


@pytest.mark.parametrize("schema", [LEDGER, PREDICTION_LOG])
def test_the_migrations_end_with_the_revision_of_the_tables(schema: Schema) -> None:
    folder = Path(store.__file__).parent / "migrations"
    scripts = ScriptDirectory(str(folder), version_locations=[str(folder / schema.name)])
    assert scripts.get_heads() == [schema.revision]
    numbers = [script.revision for script in scripts.walk_revisions()]
    assert numbers == [f"{number:04}" for number in range(len(numbers), 0, -1)]


def test_each_revision_has_a_stored_database_of_each_kind() -> None:
    assert stored.REVISIONS[-1] == LEDGER.revision
    for revision in stored.REVISIONS:
        for kind in ("sqlite", "postgresql"):
            assert (stored.FOLDER / f"{revision}.{kind}.sql").exists()


def test_a_state_between_two_revisions_becomes_as_a_new_one(
    tmp_path: Path, database_url: str | None, new: object
) -> None:
    """Databases without a revision were changed at every start."""
    engine = stored.load("0001", tmp_path, database_url)
    with write_transaction(engine) as connection:
        for statement in (
            "ALTER TABLE observations ADD COLUMN request_id VARCHAR(128)",
            "CREATE INDEX ix_idempotency_at ON idempotency (at)",
            "CREATE TABLE hosts (name VARCHAR(200) NOT NULL PRIMARY KEY, promotion BIGINT, "
            "promoted_at DOUBLE PRECISION, applied_at DOUBLE PRECISION, "
            "seen_at DOUBLE PRECISION NOT NULL)".replace(
                *("DOUBLE PRECISION", "DOUBLE") if engine.dialect.name == "sqlite" else ("", "")
            ),
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with opened(tmp_path, database_url) as services:
        assert description(services) == new


@pytest.mark.process
def test_of_six_processes_that_start_one_migrates(
    tmp_path: Path, database_url: str | None, new: object
) -> None:
    engine = stored.load("0001", tmp_path, database_url)
    settings = {"data_dir": tmp_path, "prediction_log": True}
    if database_url:
        settings["database_url"] = database_url
    logs = [tmp_path / f"{number}.log" for number in range(6)]
    processes = [Fork(("db", "upgrade"), environment(**settings), log) for log in logs]
    assert [process.wait(60) for process in processes] == [0] * 6
    printed = [log.read_text() for log in logs]
    assert sum("ledger: migrated from revision 0000 to" in text for text in printed) == 1, printed
    assert sum("ledger: has" in text for text in printed) == 5
    assert sum("prediction log: created" in text for text in printed) == 1
    engine.dispose()
    with opened(tmp_path, database_url) as services:
        assert description(services) == new


def upgrade_until(statement: str, data_dir: Path, url: str) -> None:
    """Migrate, and kill this process after the statement that begins so."""
    engine = open_engine(url)

    @event.listens_for(engine, "after_cursor_execute")
    def kill(_connection: object, _cursor: object, executed: str, *_: object) -> None:
        if executed.strip().startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    upgrade(engine, LEDGER, data_dir)


@pytest.mark.process
@pytest.mark.parametrize("statement", ["ALTER TABLE", "UPDATE alembic"])
def test_a_process_that_is_killed_leaves_the_old_schema(
    tmp_path: Path, database_url: str | None, statement: str
) -> None:
    engine = stored.load("0001", tmp_path, database_url)
    before = stored.description(engine), stored.rows(engine)
    url = engine.url.render_as_string(hide_password=False)
    process = FORKS.Process(target=upgrade_until, args=(statement, tmp_path, url))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert (stored.description(engine), stored.rows(engine)) == before
    assert upgrade(engine, LEDGER, tmp_path) == "0000"
    assert upgrade(engine, LEDGER, tmp_path) == LEDGER.revision
    engine.dispose()


def test_a_migration_may_take_longer_than_other_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not databases.POSTGRESQL:
        pytest.skip("needs PostgreSQL")
    monkeypatch.setattr(postgresql, "RESPONSE_TIMEOUT", 0.3)
    monkeypatch.setitem(postgresql.TIMEOUTS, "statement_timeout", 1)

    def wait(_connection: object, cursor: Cursor[Any], statement: str, *_: object) -> None:
        if statement.startswith("ALTER TABLE observations"):
            cursor.execute("SELECT pg_sleep(1.5)")

    with databases.fresh("postgresql") as url:
        engine = stored.load("0001", tmp_path, url)
        event.listen(engine, "before_cursor_execute", wait)
        assert upgrade(engine, LEDGER, tmp_path) == "0000"
        with engine.connect() as connection, pytest.raises(DBAPIError):
            connection.exec_driver_sql("SELECT pg_sleep(1.5)")
        engine.dispose()


@pytest.mark.process
def test_a_full_disk_leaves_the_old_schema(tmp_path: Path) -> None:
    stored.load("0001", tmp_path, None).dispose()
    small, after = tmp_path / "small", tmp_path / "after"
    small.mkdir()
    script = (
        'mount -t tmpfs -o size=256k none "$1" && cp "$2" "$1" && export STREETLIGHT_DATA_DIR="$1" '
        '&& { cat /dev/zero >"$1/filler" 2>/dev/null; "$0" db upgrade; status=$?; rm "$1/filler"; '
        'cp -r "$1" "$3"; exit $status; }'
    )
    run = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, STREETLIGHT),
            *(small, tmp_path / "streetlight.db", after),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "full" in run.stderr
    with (
        closing(sqlite3.connect(tmp_path / "streetlight.db")) as before,
        closing(sqlite3.connect(after / "streetlight.db")) as kept,
    ):
        assert list(kept.iterdump()) == list(before.iterdump())


def test_a_start_with_the_newest_schema_takes_no_lock(engine: Engine, tmp_path: Path) -> None:
    with write_transaction(engine):
        assert upgrade(engine, LEDGER, tmp_path) == LEDGER.revision


@pytest.mark.process
def test_a_start_with_the_newest_schema_does_not_import_alembic(tmp_path: Path) -> None:
    with opened(tmp_path, None):
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "streetlight", "db", "upgrade"],
            env=environment(data_dir=tmp_path, prediction_log=True),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert run.stdout.count(": has revision") == 2
    assert "sqlalchemy" in run.stderr
    assert "alembic" not in run.stderr
