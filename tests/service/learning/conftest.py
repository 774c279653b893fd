"""Services in the process of the test, with the lab's observations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from streetlight.service.wiring import Services
from tests.service.services import services_in


@pytest.fixture
def services(tmp_path: Path, database_url: str | None) -> Iterator[Services]:
    with services_in(tmp_path, database_url) as services:
        yield services


@pytest.fixture
def engine(services: Services) -> Engine:
    return services.engine
