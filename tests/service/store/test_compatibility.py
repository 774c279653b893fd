"""A data directory that version 0.1.0 wrote opens unchanged.

`version_0_1_0/` holds one: four versions, observations with a withdrawn one, jobs in three states,
two idempotency keys. `answers.json` holds what version 0.1.0 answered from it.
"""

import json
import shutil
from pathlib import Path

import pytest

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.reproduction import reproduce
from streetlight.service.config import Settings
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.queue import get
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import Services, build_services, initialize_ledger

WRITTEN = Path(__file__).with_name("version_0_1_0")
ANSWERS: dict[str, str] = json.loads((WRITTEN / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture
def services(tmp_path: Path) -> Services:
    data_dir = tmp_path / "data"
    shutil.copytree(WRITTEN, data_dir, symlinks=True)
    services = build_services(Settings(data_dir=data_dir))
    initialize_ledger(services)
    return services


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_is_what_it_was(services: Services, path: str) -> None:
    assert create_app(services).test_client().get(path).text == ANSWERS[path]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_version_verifies(number: int) -> None:
    assert reproduce(ModelRepository(WRITTEN / "models").load(number)).identical


def test_a_queued_job_runs_and_its_version_goes_live(services: Services) -> None:
    lease = acquire_lease(services.engine, "owner", 30)
    assert lease is not None
    run_job(services, lease, lambda: False)
    assert get(services.engine, 4).state == "succeeded"
    assert services.repository.versions() == [1, 2, 3, 4, 5]


def test_an_idempotency_key_gets_the_response_that_it_got(services: Services) -> None:
    client = create_app(services).test_client()
    row = {"lights": [0, 1, 0], "outcome": "stop", "id": "mine"}
    again = client.post("/observations", json=row, headers={"Idempotency-Key": "k1"})
    assert again.json is not None
    assert again.json["results"] == [{"verdict": "accepted", "id": 5}]
    other = client.post("/observations", json={**row, "id": "x"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 409
