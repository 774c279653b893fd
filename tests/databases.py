"""Temporary databases for tests: SQLite, and PostgreSQL if the environment names a server."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text

VARIABLE = "STREETLIGHT_TEST_POSTGRESQL"
POSTGRESQL = os.environ.get(VARIABLE)
KINDS = ["sqlite", "postgresql"] if POSTGRESQL else ["sqlite"]
LEFT_OUT = f"not testing PostgreSQL; to add it, set {VARIABLE}=postgresql+psycopg://user@host:port/postgres"


@contextmanager
def fresh(kind: str) -> Iterator[str | None]:
    """Yield the URL of an empty database; `None` means the default SQLite file."""
    if kind == "sqlite":
        yield None
        return
    assert POSTGRESQL
    name = f"streetlight_test_{uuid.uuid4().hex}"
    _administer(f"CREATE DATABASE {name}")
    try:
        yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(f"DROP DATABASE {name} WITH (FORCE)")


def _administer(statement: str) -> None:
    assert POSTGRESQL
    engine = create_engine(POSTGRESQL, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
