"""An empty ledger for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.service.services import services_in


@pytest.fixture
def engine(tmp_path: Path, database_url: str | None) -> Iterator[Engine]:
    with services_in(tmp_path, database_url, start_empty=True) as services:
        yield services.engine
