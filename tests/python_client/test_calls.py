"""The methods of both clients, with a real server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from streetlight.client import (
    BadRequestError,
    ConflictError,
    JobFailedError,
    NotFoundError,
    Retry,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from tests.python_client.faces import Face
from tests.server import ForkedServer, Server, free_port
from tests.service.conftest import ENDLESS

pytestmark = pytest.mark.process

UNLOAD = "/v2/repository/models/streetlight/unload"


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ForkedServer(tmp_path_factory.mktemp("keyed"), api_key="secret") as server:
        yield server


def test_a_client_observes_retrains_and_predicts(face: Face, learning_server: Server) -> None:
    client = face(learning_server.url)
    result = client.observe([0, 1, 0], "stop")
    assert result.verdict in ("accepted", "contradicts")
    assert result.id

    states = []
    job = client.retrain(promote="always").wait(60, lambda job: states.append(job.state))

    assert (job.state, job.promoted, states[-1]) == ("succeeded", True, "succeeded")
    assert client.live() == job.version
    assert client.health().version == job.version
    prediction = client.predict([0, 1, 0])
    assert (prediction.decision, prediction.version) == ("stop", job.version)
    batch = client.predict_batch([[0, 1, 0], [1, 0, 1]])
    assert (batch.decisions, batch.scores[0]) == (["stop", "walk"], prediction.score)
    explanation = client.explain([0, 1, 0], version=prediction.version)
    assert explanation.score == prediction.score
    assert sum(explanation.contributions) == pytest.approx(prediction.score)


def test_versions_are_listed_promoted_and_rolled_back(face: Face, learning_server: Server) -> None:
    client = face(learning_server.url)
    job = client.retrain(dataset="six", hidden_sizes=[4], seed=3).wait()
    assert job.version
    assert job.promoted is False
    live = client.live()

    newest = next(iter(client.versions()))

    assert (newest.version, newest.job, newest.seed) == (job.version, job.id, 3)
    switched = client.promote(job.version, "a test")
    assert switched.promotion
    assert (switched.live, switched.promotion.reason) == (job.version, "a test")
    assert client.promote(job.version).promotion is None
    assert client.rollback("enough").live == live


def test_the_ledger_is_one_iterator(face: Face, keyed_server: Server) -> None:
    client = face(keyed_server.url, api_key="secret")
    known = len(list(client.observations()))
    rows = [{"lights": [i % 2, 1, 0], "outcome": "stop"} for i in range(2500)]
    before = datetime.now(UTC) - timedelta(minutes=5)
    assert client.observe_many(rows).recorded == 2500  # type: ignore[arg-type]

    ledger = list(client.observations())[known:]

    assert [row.lights[0] for row in ledger] == [i % 2 for i in range(2500)]
    assert [row.id for row in ledger] == sorted({row.id for row in ledger})
    assert len(list(client.observations(outcome="walk", source="api"))) == 0
    assert len(list(client.observations(since=before, version=1))) >= 2500
    assert client.withdraw(ledger[7].id).withdrawn
    assert client.observation(ledger[7].id).withdrawn
    withdrawn = [row.id for row in client.observations() if row.withdrawn]
    assert withdrawn[-1] == ledger[7].id


def test_a_rejected_row_is_in_the_result(face: Face, learning_server: Server) -> None:
    result = face(learning_server.url).observe_many(
        [
            {"lights": [0, 1, 0], "outcome": "stop", "id": f"corner-{face.kind}"},
            {"lights": [0, 1, 0], "outcome": "halt"},  # type: ignore[typeddict-item]
        ]
    )
    assert [row.verdict for row in result.results] == ["accepted", "rejected"]
    assert result.results[1].error == "outcome: expected 'walk' or 'stop', got \"halt\""


def test_an_idempotency_key_gives_the_same_result_and_job(
    face: Face, learning_server: Server
) -> None:
    client = face(learning_server.url)
    key = f"again-{face.kind}"
    first = client.observe([1, 1, 1], "walk", idempotency_key=key)
    assert client.observe([1, 1, 1], "walk", idempotency_key=key) == first
    jobs = {client.retrain(dataset="six", idempotency_key=key).id for _ in range(3)}
    assert len(jobs) == 1
    assert next(client.jobs()).id == jobs.pop()
    with pytest.raises(ConflictError, match="was used before with another body") as caught:
        client.observe([1, 1, 1], "stop", idempotency_key=key)
    assert caught.value.status == 409


def test_an_error_has_the_server_s_sentence(face: Face, learning_server: Server) -> None:
    client = face(learning_server.url)
    with pytest.raises(BadRequestError) as caught:
        client.predict([1, "on", 1])  # type: ignore[list-item]
    error = caught.value
    assert error.message == 'lights[1]: expected a number, got "on"'
    assert error.details == [
        {"field": "lights[1]", "message": 'expected a number, got "on"', "got": "on"}
    ]
    assert error.request_id
    assert error.request_id in str(error)
    assert f"(400 to POST {learning_server.url}/predict" in str(error)

    for call in (
        lambda: client.job(10_000),
        lambda: client.withdraw(10_000),
        lambda: client.promote(10_000),
    ):
        with pytest.raises(NotFoundError, match="10000"):
            call()
    with pytest.raises(BadRequestError, match="hidden_sizes"):
        client.retrain(hidden_sizes=[0])


def test_jobs_are_cancelled_and_not_waited_for_longer_than_asked(
    face: Face, learning_server: Server
) -> None:
    job = face(learning_server.url).retrain(**ENDLESS)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError, match=rf"job {job.id} is \w+ after 0\.5 s"):
        job.wait(0.5)
    job.cancel()
    with pytest.raises(JobFailedError, match=f"job {job.id} cancelled") as caught:
        job.wait(30)
    assert caught.value.job.state == "cancelled"
    # As if the first response had been lost.
    assert job.cancel().state == "cancelled"


def test_the_key_is_sent(face: Face, keyed_server: Server) -> None:
    url = keyed_server.url
    assert face(url).predict([1, 0, 1]).decision == "walk"
    for wrong in (None, "wrong"):
        with pytest.raises(UnauthorizedError):
            face(url, api_key=wrong).observe([1, 0, 1], "walk")
    assert face(url, api_key="secret").observe([1, 0, 1], "walk").id


def test_a_server_without_a_live_version_is_unavailable(face: Face, keyed_server: Server) -> None:
    client = face(keyed_server.url, api_key="secret", retry=Retry(attempts=2))
    live = client.live()
    assert live
    keyed_server.expect(200, "POST", UNLOAD, Authorization="Bearer secret")
    for call in (client.health, lambda: client.predict([1, 0, 1])):
        with pytest.raises(UnavailableError, match="no version is live"):
            call()
    assert client.live() is None
    client.promote(live)


def test_what_is_no_server_of_ours_is_named(face: Face, learning_server: Server) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match=f"POST {url}/predict: "):
        face(url, retry=Retry(attempts=2)).predict([1, 0, 1])
    with pytest.raises(NotFoundError, match="there is no route /docs/readyz"):
        face(f"{learning_server.url}/docs/").health()
