"""Tests that a data directory written by version 0.1.0 is read unchanged.

`version_0_1_0/` is such a directory: four versions, observations of which one is withdrawn, jobs in
three states and two idempotency keys. `answers.json` has the responses of version 0.1.0, to which
the field `changed` is added. Responses may have further fields: `ADDED`.
"""

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import update

from streetlight.model.dataset import THRESHOLD
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.reproduction import reproduce
from streetlight.service.config.settings import Settings
from streetlight.service.learning.integrity import check
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.queue import get
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.store.tables import observations
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import Services, build_services, initialize

DATA_DIR = Path(__file__).with_name("version_0_1_0")
RESPONSES: dict[str, str] = json.loads((DATA_DIR / "answers.json").read_text(encoding="utf-8"))

# The fields that later versions added to these responses.
ADDED = {
    "data",
    "exam",
    "key",
    "l1_penalty",
    "next",
    "promoted_by",
    "repeats",
    "scale",
    "signs",
    "threshold",
    "tied_walks",
    "unseen",
    "why_no_exam",
}


def without_added(response: str) -> object:
    """Return the response without the fields `ADDED`; one that isn't JSON, as it is."""
    try:
        return json.loads(
            response,
            object_pairs_hook=lambda pairs: [pair for pair in pairs if pair[0] not in ADDED],
        )
    except ValueError:
        return response


@pytest.fixture
def services(tmp_path: Path) -> Services:
    data_dir = tmp_path / "data"
    shutil.copytree(DATA_DIR, data_dir)
    # Not part of the fixture, because an sdist contains copies in place of symbolic links.
    (data_dir / "models" / "live").symlink_to("2.npz")
    services = build_services(Settings(data_dir=data_dir))
    initialize(services)
    return services


@pytest.mark.parametrize("path", RESPONSES)
def test_each_response_is_unchanged(services: Services, path: str) -> None:
    response = create_app(services).test_client().get(path).text
    # Release 0.1 named the default otherwise.
    expected = RESPONSES[path].replace('"promote":"if_better"', '"promote":"not_worse"')
    assert without_added(response) == without_added(expected)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_version_is_reproduced(number: int) -> None:
    assert reproduce(ModelRepository(DATA_DIR / "models").load(number)).identical


def test_a_decision_between_the_thresholds_of_the_releases_is_valid(services: Services) -> None:
    """Release 0.1 decided walk from a score of 0.5 on."""
    between = [0.5006015260821399, 0.0, 0.49939847391786013]
    live = services.repository.load(2)
    assert 0.5 < live.network.score(between) < THRESHOLD
    record(services.engine, [NewObservation(tuple(between), "walk")], live, "api")
    found: list[str] = []
    check(services.engine, services.repository, found.append)
    assert found == []
    with services.engine.begin() as connection:
        connection.execute(update(observations).where(observations.c.id == 8).values(said=1))
    check(services.engine, services.repository, found.append)
    assert found == []


def test_a_queued_job_succeeds(services: Services) -> None:
    lease = acquire_lease(services.engine, "owner", 30)
    assert lease is not None
    run_job(services, lease, lambda: False)
    assert get(services.engine, 4).state == "succeeded"
    assert services.repository.versions() == [1, 2, 3, 4, 5]


def test_a_stored_idempotency_key_gets_its_response(services: Services) -> None:
    client = create_app(services).test_client()
    row = {"lights": [0, 1, 0], "outcome": "stop", "id": "mine"}
    again = client.post("/observations", json=row, headers={"Idempotency-Key": "k1"})
    assert again.json is not None
    assert again.json["results"] == [{"verdict": "accepted", "id": 5}]
    other = client.post("/observations", json={**row, "id": "x"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 409
