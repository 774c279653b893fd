"""Tests of retraining through the API: jobs, the gate and their results."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.reproduction import reproduce
from streetlight.service.config.sources import load_settings
from streetlight.service.store.tables import job_rows
from tests.client import App, Client, invoke
from tests.server import DEADLINE, ForkedServer, streetlight
from tests.service.conftest import Site, Trainer, until

EXAM_EXPECTED = "exam: expected a share from 0 to below 1, or a whole number from 1 to 10000, got "


def finished(app: App, job: int) -> Any:
    app.work()
    return app.get(f"/jobs/{job}")


def retrain(app: App, **body: object) -> Any:
    return finished(app, app.expect(202, "POST", "/retrain", body)["id"])


def observe(client: Client, lights: list[float], outcome: str) -> int:
    body = {"lights": lights, "outcome": outcome}
    number: int = client.expect(201, "POST", "/observations", body)["results"][0]["id"]
    return number


@pytest.mark.process
def test_an_observation_is_learnt_by_the_next_version(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trainer=True) as server:
        assert server.post("/predict", {"lights": [0, 1, 0]})["decision"] == "walk"
        observe(server, [0, 1, 0], "stop")

        response = server.request("POST", "/retrain", None, **{"X-Request-ID": "trace-me"})
        assert (response.status, response.headers["Location"]) == (202, "jobs/1")
        server.wait_for_log("job 1: version 2")
        job = server.get("/jobs/1")

        assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, True)
        assert (job["request_id"], job["trigger"], job["attempt"]) == ("trace-me", "request", 1)
        assert job["verdict"]["changes"][0]["lights"] == [0, 1, 0]
        assert job["progress"]["iteration"] == 1000
        assert 2 <= len(job["progress"]["curve"]) <= 101
        assert job["submitted_at"] <= job["started_at"] <= job["finished_at"]
        assert server.post("/predict", {"lights": [0, 1, 0]})["decision"] == "stop"
        manifest = server.get("/versions/2")["manifest"]
        assert (manifest["job"], manifest["parent"], manifest["observations"]) == (1, 1, [[1, 5]])
        assert server.post("/versions/2/verify")["identical"] is True
        assert server.get("/versions/2")["promotions"][0]["reason"] == "job 1"
        lines = [
            line
            for line in server.wait_for_log("job 1: version 2").splitlines()
            if "job 1:" in line
        ]
        assert {json.loads(line)["request_id"] for line in lines} == {"trace-me"}
        assert len(lines) == 2
        assert server.get("/jobs")["jobs"][0]["progress"]["curve"] == []


def test_a_job_uses_the_recipe_of_the_request(app: App) -> None:
    job = retrain(app, hidden_sizes=[6, 4], iterations=400, batch_size=None, seed=7)

    assert job["state"] == "succeeded"
    recipe = app.get(f"/versions/{job['version']}")["manifest"]["recipe"]
    assert recipe == job["recipe"]
    assert (recipe["hidden_sizes"], recipe["iterations"]) == ([6, 4], 400)
    assert (recipe["batch_size"], recipe["seed"], recipe["restarts"]) == (None, 7, 20)


@pytest.mark.parametrize(("repeats", "rows"), [("grouped", 4), ("kept", 6)])
def test_a_job_groups_or_keeps_the_repeats_of_the_ledger(app: App, repeats: str, rows: int) -> None:
    for _ in range(2):
        observe(app, [1, 0, 1], "walk")

    job = retrain(app, repeats=repeats)

    assert job["recipe"]["repeats"] == repeats
    manifest = app.get(f"/versions/{job['version']}")["manifest"]
    assert (manifest["rows"], manifest["observations"]) == (rows, [[1, 6]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"iterations": 10**12}, "iterations: expected a whole number from 1 to 1000000, got 1000"),
        ({"alpha": 0}, "alpha: expected a number from 1e-09 to 1e+09, got 0"),
        ({"alpha": "x"}, 'alpha: expected a number, got "x"'),
        ({"hidden_sizes": [2000]}, "hidden_sizes[0]: expected a whole number from 1 to 1024"),
        ({"hidden_sizes": [1] * 9}, "hidden_sizes: expected at most 8 items, got 9"),
        (
            {"promote": "maybe"},
            "promote: expected 'not_worse', 'better', 'always' or 'never', got \"maybe\"",
        ),
        ({"promote": ["if_better"]}, "promote: expected 'not_worse',"),
        *(({"exam": amount}, f"{EXAM_EXPECTED}{amount}") for amount in (-0.1, 30.5, 10_001)),
        ({"exam": "all"}, 'exam: expected a number, got "all"'),
        ({"exam": True}, "exam: expected a number, got true"),
        (
            {"must_hold": [{"lights": [1, "x"], "outcome": "stop"}]},
            "must_hold[0].lights[1]: expected",
        ),
        (
            {"must_hold": [{"lights": [1] * 65, "outcome": "stop"}]},
            "must_hold[0].lights: expected at most 64 items, got 65",
        ),
        ({"must_hold": [{"lights": [1]}]}, "must_hold[0].outcome: required, but missing"),
        ({"iteration": 5}, "iteration: unknown field; did you mean iterations?"),
    ],
)
def test_an_invalid_field_of_a_job_is_refused(
    shared_app: App, body: dict[str, object], message: str
) -> None:
    assert shared_app.expect(400, "POST", "/retrain", body)["error"].startswith(message)


def test_a_version_above_its_target_error_is_not_promoted(app: App) -> None:
    job = retrain(app, activation="linear", restarts=0)

    assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, False)
    assert "above the target of 0.01" in job["verdict"]["reasons"][0]
    assert app.get("/versions")["live"] == 1


def test_a_less_accurate_version_is_not_promoted(app: App) -> None:
    job = retrain(app, hidden_sizes=[], target_error=None)

    assert job["promoted"] is False
    [reason] = job["verdict"]["reasons"]
    assert reason == (
        f"the accuracy is {job['verdict']['accuracy']:.1%}, below the 100.0% of version 1 "
        "on the same observations"
    )


def test_must_hold_prevents_a_promotion_that_is_not_forced(app: App) -> None:
    must_hold = [{"lights": [0, 0, 1], "outcome": "walk"}, {"lights": [1], "outcome": "walk"}]

    job = retrain(app, must_hold=must_hold)
    forced = retrain(app, must_hold=must_hold, promote="always")
    never = retrain(app, promote="never", seed=9)

    assert job["promoted"] is False
    assert job["verdict"]["reasons"] == [
        "must_hold: expected walk for [0.0, 0.0, 1.0], got stop",
        "must_hold: expected a pattern of 3 lights, got one of 1",
    ]
    assert (forced["promoted"], forced["verdict"]["forced"]) == (True, True)
    assert app.get(f"/versions/{forced['version']}")["promotions"][0]["reason"] == ("job 2, forced")
    assert (never["promoted"], never["verdict"]["passed"]) == (False, True)


def test_must_hold_is_also_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREETLIGHT_MUST_HOLD", '[{"lights": [0, 0, 1], "outcome": "walk"}]')
    with App(tmp_path, must_hold=load_settings().must_hold) as app:
        assert "must_hold: expected walk" in retrain(app)["verdict"]["reasons"][0]


def test_a_ledger_without_both_outcomes_fails_the_job(tmp_path: Path) -> None:
    with App(tmp_path, start_empty=True) as app:
        empty = retrain(app)
        observe(app, [0, 1, 0], "stop")
        one_sided = retrain(app)

    assert (empty["state"], one_sided["state"]) == ("failed", "failed")
    assert empty["error"] == "expected observations of both outcomes, got an empty ledger"
    assert one_sided["error"] == (
        "expected observations of both outcomes, got 1 with stop and none with walk"
    )


def test_a_training_that_diverges_fails_its_job(app: App) -> None:
    job = retrain(app, hidden_sizes=[], alpha=50, iterations=5000, restarts=0)

    assert job["state"] == "failed"
    assert job["error"].startswith("training diverged")
    assert job["version"] is None


def test_a_conflict_is_trained_on_its_mean_outcome(app: App) -> None:
    for outcome in ("stop", "stop", "walk"):
        observe(app, [1, 1, 0], outcome)
    job = retrain(app)

    manifest = app.get(f"/versions/{job['version']}")["manifest"]
    assert (manifest["rows"], manifest["conflicts"]) == (5, 1)
    assert app.post("/predict", {"lights": [1, 1, 0]})["score"] == pytest.approx(1 / 3, abs=0.1)
    assert job["verdict"]["accuracy"] == pytest.approx(6 / 7)


def test_a_withdrawn_observation_does_not_affect_the_version(
    tmp_path: Path,
) -> None:
    digests = []
    for name, withdraw in (("with", True), ("without", False)):
        with App(tmp_path / name) as app:
            observe(app, [0, 1, 0], "stop")
            if withdraw:
                number = observe(app, [1, 1, 0], "walk")
            observe(app, [1, 0, 0], "walk")
            if withdraw:
                app.expect(200, "DELETE", f"/observations/{number}")
            manifest = app.get(f"/versions/{retrain(app)['version']}")["manifest"]
            digests.append(manifest["sha256"])
            ids = [[1, 5], [7, 7]] if withdraw else [[1, 6]]
            assert manifest["observations"] == ids

    assert digests[0] == digests[1]


def test_a_queued_job_can_be_cancelled_and_a_finished_one_not(app: App) -> None:
    """No trainer runs, so the job stays queued."""
    number = app.expect(202, "POST", "/retrain")["id"]

    assert app.get(f"/jobs/{number}")["state"] == "queued"
    assert app.expect(200, "DELETE", f"/jobs/{number}")["state"] == "cancelled"
    error = app.expect(409, "DELETE", f"/jobs/{number}")["error"]
    assert error == "job 1 can't be cancelled: its state is cancelled"
    assert app.expect(404, "DELETE", "/jobs/9")["error"] == "no job 9"
    assert app.expect(404, "GET", "/jobs/9/events")["error"] == "no job 9"


def test_a_running_job_can_be_cancelled(app: App) -> None:
    body = {"iterations": 1_000_000, "restarts": 1000, "target_error": 0}
    number = app.expect(202, "POST", "/retrain", body)["id"]
    trainer = threading.Thread(target=app.work)
    trainer.start()
    until(lambda: app.get(f"/jobs/{number}")["progress"])

    app.expect(200, "DELETE", f"/jobs/{number}")

    trainer.join(DEADLINE)
    job = app.get(f"/jobs/{number}")
    assert (job["state"], job["version"]) == ("cancelled", None)
    assert app.get("/versions")["live"] == 1


def test_jobs_are_listed_in_pages_newest_first(app: App) -> None:
    for _ in range(5):
        app.expect(202, "POST", "/retrain")

    first = app.get("/jobs?limit=3")
    rest = app.get(f"/jobs?limit=3&after={first['next']}")

    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == [5, 4, 3, 2, 1]
    assert rest["next"] is None


def test_a_repeated_idempotency_key_returns_the_same_job(app: App) -> None:
    key = {"Idempotency-Key": "once"}

    first = app.expect(202, "POST", "/retrain", {"seed": 3}, **key)
    again = app.expect(202, "POST", "/retrain", {"seed": 3}, **key)

    assert first["id"] == again["id"] == 1
    assert "another body" in app.expect(409, "POST", "/retrain", {"seed": 4}, **key)["error"]


def test_enough_observations_start_a_job(tmp_path: Path) -> None:
    with App(tmp_path, retrain_after=3) as app:
        for lights in ([0.0, 1, 0], [1.0, 1, 0], [0.5, 0, 1]):
            app.work()
            assert app.get("/jobs")["jobs"] == []
            observe(app, lights, "stop")
        app.work()
        job = app.get("/jobs")["jobs"][0]
        assert job["version"] == 2
        observe(app, [0, 1, 0], "stop")
        app.work()
        assert (job["trigger"], app.get("/jobs")["jobs"][0]["id"]) == ("observations", 1)


def test_a_low_accuracy_starts_a_job(tmp_path: Path) -> None:
    with App(tmp_path, retrain_below=0.5, retrain_window=4) as app:
        for outcome in ("walk", "stop", "stop", "stop", "stop"):
            app.work()
            assert app.get("/jobs")["jobs"] == []
            observe(app, [0, 1, 0], outcome)
        app.work()
        job = app.get("/jobs")["jobs"][0]
        assert (job["trigger"], job["version"]) == ("accuracy", 2)


@pytest.mark.process
def test_a_trainer_waits_longer_after_each_automatic_job_that_fails(
    tmp_path: Path, database_url: str | None
) -> None:
    """A ledger with one outcome can't be learnt, and the live version decides the other one."""
    settings: dict[str, object] = {"start_empty": True, "retrain_below": 0.5, "retrain_window": 4}
    with Site(tmp_path, database_url, **settings) as site:
        # It looks at the queue between any two observations.
        site.trainer(
            "from streetlight.service.learning import trainer\ntrainer.POLL_INTERVAL = 0.01"
        )
        for count, observations in enumerate((4, 4, 8), 1):
            for _ in range(observations):
                assert len(site.jobs()) == count - 1
                site.expect(201, "POST", "/observations", {"lights": [1, 0, 1], "outcome": "stop"})
            until(lambda n=count: len(site.jobs()) == n)  # type: ignore[misc]
            job = site.wait_until_finished(count)
            assert (job["id"], job["trigger"], job["state"]) == (count, "accuracy", "failed")


SIX = [
    {"lights": lights, "outcome": "walk" if lights[1] else "stop"}
    for lights in ([1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1], [1, 0, 1])
]


def test_rows_and_datasets_go_live_only_if_the_request_says_so(app: App) -> None:
    """Such a version is judged on the rows that it has learnt, and on no others."""
    for body, promoted in (
        ({"dataset": "four"}, False),
        ({"rows": SIX}, False),
        ({"dataset": "four", "promote": "not_worse"}, True),
        ({}, True),
    ):
        assert retrain(app, **body)["promoted"] is promoted, body


def test_a_job_says_what_it_learns_from(app: App) -> None:
    observe(app, [0, 1, 0], "stop")
    withdrawn = observe(app, [0, 1, 0], "walk")
    app.expect(200, "DELETE", f"/observations/{withdrawn}")

    jobs = [
        app.expect(202, "POST", "/retrain", body)
        for body in ({}, {"dataset": "six"}, {"rows": SIX, "promote": "never"})
    ]

    queued = "when the job is queued"
    assert [job["data"] for job in jobs] == [
        {
            "source": "ledger",
            "read": "when the job starts",
            "dataset": None,
            "rows": 5,
            "last_id": 6,
        },
        {"source": "dataset", "read": queued, "dataset": "six", "rows": 6, "last_id": None},
        {"source": "rows", "read": queued, "dataset": None, "rows": 6, "last_id": None},
    ]
    assert [job["data"] for job in app.get("/jobs")["jobs"]] == [job["data"] for job in jobs[::-1]]
    app.work()
    assert [job["version"] for job in app.get("/jobs")["jobs"]] == [4, 3, 2]
    manifests = [app.get(f"/versions/{number}")["manifest"] for number in (2, 3, 4)]
    assert [manifest["dataset"] for manifest in manifests] == ["ledger", "six", "request"]
    assert [manifest["observations"] is None for manifest in manifests] == [False, True, True]
    # The same rows and the same recipe.
    assert manifests[1]["sha256"] == manifests[2]["sha256"]
    for number in (3, 4):
        assert reproduce(app.services.repository.load(number)).identical


def test_the_rows_of_a_request_are_deleted_after_its_job(app: App) -> None:
    def stored() -> list[int]:
        with app.services.engine.connect() as connection:
            return list(
                connection.execute(select(job_rows.c.job).order_by(job_rows.c.job)).scalars()
            )

    for _ in range(2):
        app.expect(202, "POST", "/retrain", {"rows": SIX, "iterations": 1, "restarts": 0})
    assert stored() == [1, 2]
    app.work()
    app.expect(202, "POST", "/retrain", {"rows": SIX})
    assert stored() == [3]


def test_a_job_on_other_data_learns_no_observation(tmp_path: Path) -> None:
    """Observations recorded before it stay new: the next automatic job learns them."""
    with App(tmp_path, retrain_after=3) as app:
        observe(app, [0, 1, 0], "stop")
        observe(app, [1, 1, 0], "stop")
        retrain(app, dataset="six", promote="never")
        observe(app, [0, 1, 0], "stop")
        app.work()
        [job, _] = app.get("/jobs")["jobs"]
        assert (job["trigger"], job["data"]["last_id"]) == ("observations", 7)


def test_data_that_no_job_can_learn_are_refused(app: App) -> None:
    def refused(body: object) -> str:
        message: str = app.expect(400, "POST", "/retrain", body)["error"]
        return message

    assert (
        refused({"rows": SIX, "dataset": "six"}) == "dataset: expected rows or a dataset, got both"
    )
    assert refused({"dataset": "six", "exam": 0.2}) == (
        "exam: expected none with rows or a dataset, got 0.2: only a training on the ledger holds "
        "observations back"
    )
    assert refused({"dataset": "one-light"}) == (
        "dataset: expected rows of both outcomes, got 1 with stop and none with walk"
    )
    assert refused({"rows": SIX[1:2] * 7}) == (
        "rows: expected rows of both outcomes, got 7 with walk and none with stop"
    )
    assert refused({"rows": []}) == "rows: expected at least 1 row, got 0"
    assert refused({"rows": [*SIX, {"lights": [1, 0], "outcome": "walk"}]}) == (
        "rows[6].lights: expected 3 lights, as in the first row, got 2"
    )
    assert refused({"rows": [{"lights": [1] * 65, "outcome": "walk"}]}).startswith(
        "rows[0].lights: expected at most 64 lights, got 65"
    )
    assert refused({"rows": [{"lights": [True], "outcome": "walk"}]}).startswith(
        "rows[0].lights[0]"
    )
    assert "rows[0].x: unknown field" in refused({"rows": [{**SIX[0], "x": 1}]})
    assert refused({"rows": SIX * 1667}).startswith("rows: expected at most 10000 items, got ")
    assert "dataset: expected 'one-light'" in refused({"dataset": "lab"})
    assert app.get("/jobs")["jobs"] == []

    largest = app.expect(202, "POST", "/retrain", {"rows": (SIX * 1667)[:10_000]})
    assert largest["data"]["rows"] == 10_000


def test_a_row_that_keeps_a_version_from_promotion_is_no_observation(app: App) -> None:
    far = {"lights": [1e6, 0, 1], "outcome": "stop"}
    job = retrain(app, rows=[*SIX, far])
    assert job["promoted"] is False
    assert "a row may be the cause: lights[0] is 1e+06" in job["verdict"]["reasons"][-1]
    assert "observation " not in job["verdict"]["reasons"][-1]


@pytest.mark.process
def test_the_retrain_command_learns_a_dataset(trainer: Trainer, tmp_path: Path) -> None:
    run = streetlight("retrain", "--watch", "--dataset", "six", data_dir=tmp_path)
    assert "job 1 succeeded" in run.stdout
    manifest = ModelRepository(tmp_path / "models").load(2).manifest
    assert (manifest.dataset, manifest.observations, manifest.job) == ("six", None, 1)

    refused = invoke("retrain", "--dataset", "one-light", data_dir=tmp_path)
    assert refused.returncode == 2
    assert "--dataset: expected rows of both outcomes" in refused.stderr
    assert not trainer.has_logged("Traceback")


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    """A trainer process without a server, which has trained the first version."""
    trainer = Trainer(tmp_path / "work.log", data_dir=tmp_path)
    until(lambda: trainer.has_logged("waits for jobs"))
    yield trainer
    trainer.process.terminate()
    assert trainer.process.wait(DEADLINE) == 0


@pytest.mark.process
def test_the_retrain_command_follows_a_job(trainer: Trainer, tmp_path: Path) -> None:
    with App(tmp_path) as app:
        observe(app, [0, 1, 0], "stop")

    run = streetlight("retrain", "--watch", data_dir=tmp_path)

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("job 1 is queued\n")
    assert "job 1 succeeded" in run.stdout
    assert "version 2 is live\n  [0.0, 1.0, 0.0]: was walk, now stop\n" in run.stdout

    again = invoke("retrain", "--watch", "--promote", "never", data_dir=tmp_path)
    assert "version 3 is not promoted" in again.stdout
    weights = ModelRepository(tmp_path / "models").load(3).network.weights
    assert all(np.isfinite(matrix).all() for matrix in weights)
    assert not trainer.has_logged("Traceback")


def test_a_job_names_the_observation_that_keeps_it_from_promotion(app: App) -> None:
    wrong = app.expect(201, "POST", "/observations", {"lights": [1e6, 0, 1], "outcome": "stop"})
    number = wrong["results"][0]["id"]
    diverging = {"alpha": 1e9, "iterations": 50, "restarts": 0, "activation": "linear"}
    jobs = [app.expect(202, "POST", "/retrain", body)["id"] for body in ({}, diverging)]
    app.work()

    rejected, failed = (app.get(f"/jobs/{job}") for job in jobs)
    assert rejected["promoted"] is False
    for reason in (rejected["verdict"]["reasons"][-1], failed["error"]):
        assert f"observation {number} may be the cause: lights[0] is 1e+06" in reason
        assert f"DELETE /observations/{number}" in reason
    assert failed["error"].startswith("training diverged: ")

    app.expect(200, "DELETE", f"/observations/{number}")
    job = app.expect(202, "POST", "/retrain")["id"]
    app.work()
    assert app.get(f"/jobs/{job}")["promoted"] is True
