"""Tests of the engine: how long it waits for a lock, or for a server that doesn't respond."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from streetlight.service.store import engine as engine_module
from streetlight.service.store import postgresql
from streetlight.service.store.engine import describe, open_engine, ordered_write_transaction
from tests import databases
from tests.client import App
from tests.databases import POSTGRESQL, Cluster
from tests.server import free_port
from tests.service.conftest import until

needs_postgresql = pytest.mark.skipif(not POSTGRESQL, reason="needs PostgreSQL")


@pytest.mark.parametrize("url", ["postgresql+psycopg2://h/d", "mysql://h/d"])
def test_a_url_of_another_database_or_driver_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match="expected sqlite:///… or postgresql"):
        open_engine(url)


def test_a_url_with_several_ports_is_refused() -> None:
    """The form of libpq; SQLAlchemy has another one."""
    with pytest.raises(ArgumentError, match=r"name several hosts by …/database\?host=first:5432&"):
        open_engine("postgresql+psycopg://h1:5432,h2:5432/d?target_session_attrs=read-write")


def test_the_wait_for_a_write_lock_ends(
    engine: Engine, database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "LOCK_TIMEOUT", 1)
    monkeypatch.setitem(postgresql.TIMEOUTS, "lock_timeout", 1)
    other = open_engine(database_url or f"sqlite:///{tmp_path / 'streetlight.db'}")
    with ordered_write_transaction(engine):
        started = time.monotonic()
        with pytest.raises(OperationalError) as caught, ordered_write_transaction(other):
            pass
        assert 0.9 < time.monotonic() - started < 5
    other.dispose()

    message = describe(caught.value)
    assert message.startswith("the database can't be used: ")
    assert message.endswith("; another transaction has held the write lock for 1 s")
    assert "\n" not in message


@needs_postgresql
def test_the_parameters_of_the_url_replace_ours() -> None:
    assert POSTGRESQL
    url = make_url(POSTGRESQL).update_query_dict({"options": "-c lock_timeout=7s"})
    for opened, lock, statement in ((url, "7s", "0"), (make_url(POSTGRESQL), "10s", "12s")):
        engine = open_engine(opened.render_as_string(hide_password=False))
        with engine.connect() as connection:
            assert connection.execute(text("SHOW lock_timeout")).scalar() == lock
            assert connection.execute(text("SHOW statement_timeout")).scalar() == statement
            # Those of the server's end of the connection.
            assert connection.execute(text("SHOW tcp_user_timeout")).scalar() == "2000"
            check = text("SHOW client_connection_check_interval")
            assert connection.execute(check).scalar() == "1s"
            prepared: Any = connection.connection.dbapi_connection
            assert prepared.prepare_threshold is None
        engine.dispose()


@needs_postgresql
def test_a_request_does_not_wait_long_for_a_connection(tmp_path: Path) -> None:
    with (
        databases.fresh("postgresql") as url,
        App(tmp_path, database_url=url) as app,
        ExitStack() as stack,
    ):
        for _ in range(postgresql.POOL_SIZE + postgresql.MAX_OVERFLOW):
            stack.enter_context(app.services.engine.connect())
        started = time.monotonic()
        response = app.expect(503, "GET", "/observations")
        assert time.monotonic() - started < 3
    assert "all connections of this worker are in use" in response["error"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that tests may stop."""
    with Cluster(free_port()) as cluster:
        yield cluster


@pytest.fixture
def impatient(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that waits for that server for half a second."""
    monkeypatch.setattr(postgresql, "RESPONSE_TIMEOUT", 0.5)
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(postgresql, "SILENCE", 0.4)
    monkeypatch.setattr(postgresql, "PAUSE", 0.2)
    engine = open_engine(cluster.url)
    yield engine
    engine.dispose()


@contextmanager
def stopped(cluster: Cluster, seconds: float, message: str) -> Iterator[None]:
    """Stop the server, and expect an error within some seconds."""
    cluster.send(signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(DBAPIError, match=message):
            yield
        assert time.monotonic() - started < seconds
    finally:
        cluster.send(signal.SIGCONT)


SILENT = "the server did not respond for 0.5 s"
PAUSED = "the server did not respond in the last 0.2 s"


def connects(engine: Engine) -> bool:
    with suppress(DBAPIError), engine.connect() as connection:
        return connection.execute(select(1)).scalar() == 1
    return False


@needs_postgresql
@pytest.mark.process
def test_the_wait_for_a_server_that_does_not_respond_ends(
    cluster: Cluster, impatient: Engine
) -> None:
    """In a statement, at the commit, at the check of an idle connection, and at a connect.

    For a while after it, no connection is tried.
    """
    with impatient.connect() as connection:
        connection.execute(select(1))
        with stopped(cluster, 2, SILENT):
            connection.execute(select(1))
        assert connection.invalidated
    until(lambda: connects(impatient))
    with impatient.connect() as connection:
        connection.execute(select(1))
        with stopped(cluster, 2, SILENT):
            connection.commit()
        assert connection.invalidated
    until(lambda: connects(impatient))
    with stopped(cluster, 2, PAUSED):
        impatient.connect()
    until(lambda: connects(impatient))
    impatient.dispose()
    with stopped(cluster, 5, "connection timeout expired"):
        impatient.connect()
    with stopped(cluster, 0.2, PAUSED):
        impatient.connect()
    until(lambda: connects(impatient))


@needs_postgresql
@pytest.mark.process
def test_a_slow_statement_is_not_ended(cluster: Cluster) -> None:
    """The server acknowledges packets meanwhile."""
    engine = open_engine(cluster.url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(2.5)"))
    engine.dispose()


@needs_postgresql
@pytest.mark.process
def test_a_slow_statement_that_sends_rows_is_not_ended(impatient: Engine) -> None:
    slow = text("SELECT repeat('x', 100000), pg_sleep(0.2) FROM generate_series(1, 6)")
    with impatient.connect() as connection:
        assert len(connection.execute(slow).all()) == 6
