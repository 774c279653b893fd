"""A database whose schema this release can't use: predictions continue, and /readyz says why."""

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from streetlight.service.store.engine import open_engine, write_transaction
from streetlight.service.store.schema import LEDGER, PREDICTION_LOG, Schema, SchemaError, upgrade
from tests.client import App, invoke
from tests.server import ForkedServer, streetlight
from tests.service.conftest import Site, until
from tests.service.services import services_in
from tests.service.store import stored

NEWER = (
    "the database can't be used: alembic_version_ledger has revision 9999, and this release knows "
    f"those up to {LEDGER.revision}; start the release that upgraded the database, or restore a "
    "backup"
)


def execute(engine: Engine, *statements: str) -> None:
    """Execute the statements in one transaction."""
    with write_transaction(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def set_revision(engine: Engine, revision: str) -> None:
    """Change the revision of the ledger."""
    execute(engine, f"UPDATE alembic_version_ledger SET version_num = '{revision}'")  # noqa: S608


@pytest.mark.parametrize(
    ("schema", "statement", "reason"),
    [
        (
            LEDGER,
            "UPDATE alembic_version_ledger SET version_num = '9999'",
            "alembic_version_ledger has revision 9999, and this release knows those up to",
        ),
        (
            LEDGER,
            "UPDATE alembic_version_ledger SET version_num = '3'",
            "alembic_version_ledger has revision 3, and this release knows those up to",
        ),
        (
            PREDICTION_LOG,
            "UPDATE alembic_version_prediction_log SET version_num = 'ae10'",
            "alembic_version_prediction_log has revision ae10, and this release knows those up to",
        ),
        (LEDGER, "DELETE FROM alembic_version_ledger", "alembic_version_ledger has 0 rows"),
        (
            LEDGER,
            "INSERT INTO alembic_version_ledger VALUES ('0001')",
            "alembic_version_ledger has 2 rows",
        ),
    ],
)
def test_a_revision_that_is_not_known_is_refused(
    tmp_path: Path, database_url: str | None, schema: Schema, statement: str, reason: str
) -> None:
    with services_in(tmp_path, database_url, prediction_log=True) as services:
        engine = services.engine if schema is LEDGER else services.require_prediction_log()
        execute(engine, statement)
        before = stored.description(engine), stored.rows(engine)
        with pytest.raises(SchemaError, match=f"^the database can't be used: {reason}"):
            upgrade(engine, schema, tmp_path)
        assert (stored.description(engine), stored.rows(engine)) == before
        services.require_prediction_log().dispose()


def test_tables_that_are_incomplete_are_refused(tmp_path: Path, database_url: str | None) -> None:
    engine = stored.load("0001", tmp_path, database_url)
    execute(engine, "DROP TABLE jobs")
    before = stored.description(engine), stored.rows(engine)
    with pytest.raises(SchemaError, match="has a table idempotency and no table jobs"):
        upgrade(engine, LEDGER, tmp_path)
    assert (stored.description(engine), stored.rows(engine)) == before
    engine.dispose()


@pytest.mark.process
def test_serve_with_a_newer_schema_predicts_and_recovers(
    tmp_path: Path, database_url: str | None
) -> None:
    invoke("train", data_dir=tmp_path)
    with services_in(tmp_path, database_url) as services:
        settings: dict[str, object] = {"database_url": database_url} if database_url else {}
        execute(services.engine, "ALTER TABLE observations ADD place TEXT NOT NULL DEFAULT ''")
        set_revision(services.engine, "9999")
        (file := tmp_path / "rows.csv").write_text("a,b,c,outcome\n1,0,1,walk\n")
        commands = [["retrain"], ["import", str(file)], ["db", "upgrade"]]
        if database_url:
            commands += [["promote", "1"], ["rollback"]]
        for command in commands:
            run = invoke(*command, data_dir=tmp_path, **settings)
            assert (run.returncode, run.stderr) == (2, f"streetlight: {NEWER}\n")
        work = streetlight("work", data_dir=tmp_path, **settings)
        assert work.returncode == 2
        assert work.stderr.endswith(f"\nstreetlight: {NEWER}\n")
        assert not list(tmp_path.glob("trainers/*"))
        server = ForkedServer(tmp_path, trainer=True, **settings)
        server.health = "/livez"
        with server:
            assert server.expect(503, "GET", "/readyz") == {"error": NEWER}
            assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
            row = {"lights": [1, 0, 1], "outcome": "walk"}
            for method, path, body in (
                ("POST", "/observations", row),
                ("GET", "/jobs", None),
                ("POST", "/retrain", {}),
            ):
                assert server.expect(503, method, path, body) == {"error": NEWER}
            assert f"{NEWER}; predictions are answered without it" in server.log.read_text()
            server.wait_for_log("the trainer exited with status 2")
            set_revision(services.engine, LEDGER.revision)
            until(lambda: server.request("GET", "/readyz").status == 200)
            assert server.get("/readyz") == {"status": "ok", "version": 1}
            job = server.expect(202, "POST", "/retrain", {})["id"]
            until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")


@pytest.mark.process
def test_a_server_whose_database_is_upgraded_beneath_it_goes_on(
    tmp_path: Path, database_url: str | None
) -> None:
    """Also with a worker that is started again."""
    with Site(tmp_path, database_url) as site:
        engine = open_engine(site.database)
        execute(
            engine,
            "ALTER TABLE observations ADD COLUMN place TEXT",
            "ALTER TABLE jobs ADD COLUMN place TEXT DEFAULT 'here' NOT NULL",
            "CREATE TABLE places (name TEXT PRIMARY KEY)",
            "UPDATE alembic_version_ledger SET version_num = '9999'",
        )
        row = {"lights": [1, 0, 1], "outcome": "walk"}
        site.expect(201, "POST", "/observations", row)
        [worker] = site.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: site.workers() not in ([], [worker]))
        site.wait_until_ready()
        until(lambda: site.get("/readyz") == {"status": "ok", "version": 1})  # the follower starts
        site.expect(201, "POST", "/observations", row)
        site.retrain()
        engine.dispose()


@pytest.fixture
def orphaned(tmp_path: Path) -> Path:
    """A data directory without its ledger: version 2, which a job trained, is live."""
    with App(tmp_path) as app:
        app.expect(202, "POST", "/retrain")
        app.work()
        app.post("/versions/2/promote")
    (tmp_path / "streetlight.db").rename(tmp_path / "backup.db")
    return tmp_path


LOST = (
    "the database can't be used: it is empty, but models/2.npz was trained by a job of a database; "
    "restore a backup of that database, or run `streetlight db upgrade --new-ledger` to start with "
    "an empty one"
)


@pytest.mark.process
def test_an_empty_database_beside_versions_of_another_is_refused(
    orphaned: Path, database_url: str | None
) -> None:
    settings: dict[str, object] = {"database_url": database_url} if database_url else {}
    (file := orphaned / "rows.csv").write_text("a,b,c,outcome\n1,0,1,walk\n")
    for command in (["retrain"], ["import", str(file)], ["db", "upgrade"]):
        run = invoke(*command, data_dir=orphaned, **settings)
        assert (run.returncode, run.stderr) == (2, f"streetlight: {LOST}\n")
    server = ForkedServer(orphaned, **settings)
    server.health = "/livez"
    with server:
        assert server.expect(503, "GET", "/readyz") == {"error": LOST}
        assert server.expect(503, "POST", "/retrain") == {"error": LOST}
        assert server.request("GET", "/metrics").status == 200
        if not database_url:
            assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 2
            (orphaned / "backup.db").rename(orphaned / "streetlight.db")
        else:
            run = invoke("db", "upgrade", "--new-ledger", data_dir=orphaned, **settings)
            assert "ledger: created with revision" in run.stdout
        until(lambda: server.request("GET", "/readyz").status == 200)
        assert server.get("/readyz") == {"status": "ok", "version": 2}
        assert len(server.get("/jobs")["jobs"]) == (0 if database_url else 1)


def test_a_new_ledger_can_be_started(orphaned: Path) -> None:
    run = invoke("db", "upgrade", "--new-ledger", data_dir=orphaned)
    assert run.stdout.startswith("ledger: created with revision")
    with services_in(orphaned, None) as services:
        assert len(stored.rows(services.engine)["observations"]) == 4


def test_an_empty_database_beside_copies_of_versions_is_refused(
    tmp_path: Path, database_url: str | None
) -> None:
    """Also those of the lab's network: the database that they come from had a ledger."""
    invoke("train", data_dir=tmp_path)
    (tmp_path / "models/1.npz").rename(tmp_path / "models/1-0123456789abcdef.npz")
    settings: dict[str, object] = {"database_url": database_url} if database_url else {}
    for options in ([], ["--new-ledger"]):
        run = invoke("db", "upgrade", *options, data_dir=tmp_path, **settings)
        assert run.returncode == 2
        assert "empty, but models/1-0123456789abcdef.npz is a copy from a database" in run.stderr


def test_versions_of_the_training_job_need_no_database(tmp_path: Path) -> None:
    invoke("train", data_dir=tmp_path)
    assert invoke("db", "upgrade", data_dir=tmp_path).returncode == 0
