"""An empty PostgreSQL database for tests of many hosts."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from streetlight.service.store.engine import open_engine
from streetlight.service.store.tables import metadata


@pytest.fixture
def shared_engine(shared_url: str) -> Iterator[Engine]:
    """An engine on a PostgreSQL database with empty tables."""
    engine = open_engine(shared_url)
    metadata.create_all(engine)
    yield engine
    engine.dispose()
