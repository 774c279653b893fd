"""The learning loop: jobs, the gate, and what they leave behind; and once with real processes."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.config import load_settings
from tests.client import App, Client, invoke
from tests.server import DEADLINE, ForkedServer, streetlight
from tests.service.conftest import Trainer, until


def finished(app: App, job: int) -> Any:
    app.work()
    return app.get(f"/jobs/{job}")


def retrain(app: App, **order: object) -> Any:
    return finished(app, app.expect(202, "POST", "/retrain", order)["id"])


def observe(client: Client, lights: list[float], outcome: str) -> int:
    body = {"lights": lights, "outcome": outcome}
    number: int = client.expect(201, "POST", "/observations", body)["results"][0]["id"]
    return number


def test_the_whole_loop(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trainer=True) as learner:
        assert learner.post("/predict", {"lights": [0, 1, 0]})["decision"] == "walk"
        observe(learner, [0, 1, 0], "stop")

        response = learner.request("POST", "/retrain", None, **{"X-Request-ID": "trace-me"})
        assert (response.status, response.headers["Location"]) == (202, "/jobs/1")
        learner.said("job 1: version 2")
        job = learner.get("/jobs/1")

        assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, True)
        assert (job["request_id"], job["trigger"], job["attempt"]) == ("trace-me", "request", 1)
        assert job["verdict"]["changes"][0]["lights"] == [0, 1, 0]
        assert job["progress"]["iteration"] == 1000
        assert 2 <= len(job["progress"]["curve"]) <= 101
        assert job["submitted_at"] <= job["started_at"] <= job["finished_at"]
        assert learner.post("/predict", {"lights": [0, 1, 0]})["decision"] == "stop"
        manifest = learner.get("/versions/2")["manifest"]
        assert (manifest["job"], manifest["parent"], manifest["observations"]) == (1, 1, [[1, 5]])
        assert learner.post("/versions/2/verify")["identical"] is True
        assert learner.get("/versions/2")["promotions"][0]["reason"] == "job 1"
        told = [line for line in learner.said("job 1: version 2").splitlines() if "job 1:" in line]
        assert {json.loads(line)["request_id"] for line in told} == {"trace-me"}
        assert len(told) == 2
        assert learner.get("/jobs")["jobs"][0]["progress"]["curve"] == []


def test_a_recipe_may_be_given(app: App) -> None:
    job = retrain(app, hidden_sizes=[6, 4], iterations=400, batch_size=None, seed=7)

    assert job["state"] == "succeeded"
    recipe = app.get(f"/versions/{job['version']}")["manifest"]["recipe"]
    assert recipe == job["recipe"]
    assert (recipe["hidden_sizes"], recipe["iterations"]) == ([6, 4], 400)
    assert (recipe["batch_size"], recipe["seed"], recipe["restarts"]) == (None, 7, 20)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"iterations": 10**12}, "iterations: expected a whole number from 1 to 1000000, got 1000"),
        ({"alpha": 0}, "alpha: expected a number from 1e-09 to 1e+09, got 0"),
        ({"alpha": "x"}, 'alpha: expected a number, got "x"'),
        ({"hidden_sizes": [2000]}, "hidden_sizes[0]: expected a whole number from 1 to 1024"),
        ({"hidden_sizes": [1] * 9}, "hidden_sizes: expected at most 8 items, got 9"),
        ({"promote": "maybe"}, "promote: expected 'if_better', 'always' or 'never', got \"maybe\""),
        (
            {"must_hold": [{"lights": [1, "x"], "outcome": "stop"}]},
            "must_hold[0].lights[1]: expected",
        ),
        ({"must_hold": [{"lights": [1]}]}, "must_hold[0].outcome: required, but missing"),
        ({"iteration": 5}, "iteration: unknown field; did you mean iterations?"),
    ],
)
def test_every_field_of_an_order_is_bounded(
    shared_app: App, order: dict[str, object], message: str
) -> None:
    assert shared_app.expect(400, "POST", "/retrain", order)["error"].startswith(message)


def test_a_version_that_misses_its_target_is_kept_but_does_not_go_live(app: App) -> None:
    job = retrain(app, activation="linear", restarts=0)

    assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, False)
    assert "above the target of 0.01" in job["verdict"]["reasons"][0]
    assert app.get("/versions")["live"] == 1


def test_a_version_that_is_less_accurate_does_not_go_live(app: App) -> None:
    job = retrain(app, hidden_sizes=[], target_error=None)

    assert job["promoted"] is False
    [reason] = job["verdict"]["reasons"]
    assert reason == (
        f"the accuracy is {job['verdict']['accuracy']:.1%}, below the 100.0% of version 1 "
        "on the same observations"
    )


def test_must_hold_is_held_and_always_overrides_on_record(app: App) -> None:
    must_hold = [{"lights": [0, 0, 1], "outcome": "walk"}, {"lights": [1], "outcome": "walk"}]

    job = retrain(app, must_hold=must_hold)
    forced = retrain(app, must_hold=must_hold, promote="always")
    never = retrain(app, promote="never", seed=9)

    assert job["promoted"] is False
    assert job["verdict"]["reasons"] == [
        "must_hold: expected walk for [0.0, 0.0, 1.0], got stop",
        "must_hold: expected a pattern of 3 lights, got [1.0]",
    ]
    assert (forced["promoted"], forced["verdict"]["forced"]) == (True, True)
    assert app.get(f"/versions/{forced['version']}")["promotions"][0]["reason"] == ("job 2, forced")
    assert (never["promoted"], never["verdict"]["passed"]) == (False, True)


def test_must_hold_may_be_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREETLIGHT_MUST_HOLD", '[{"lights": [0, 0, 1], "outcome": "walk"}]')
    with App(tmp_path, must_hold=load_settings().must_hold) as app:
        assert "must_hold: expected walk" in retrain(app)["verdict"]["reasons"][0]


def test_a_ledger_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
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


def test_conflicts_train_on_their_mean(app: App) -> None:
    for outcome in ("stop", "stop", "walk"):
        observe(app, [1, 1, 0], outcome)
    job = retrain(app)

    manifest = app.get(f"/versions/{job['version']}")["manifest"]
    assert (manifest["rows"], manifest["conflicts"]) == (5, 1)
    assert app.post("/predict", {"lights": [1, 1, 0]})["score"] == pytest.approx(1 / 3, abs=0.1)
    assert job["verdict"]["accuracy"] == pytest.approx(6 / 7)


def test_withdrawing_gives_exactly_the_version_that_would_have_come_without(
    tmp_path: Path,
) -> None:
    digests = []
    for name, take_back in (("with", True), ("without", False)):
        with App(tmp_path / name) as app:
            observe(app, [0, 1, 0], "stop")
            if take_back:
                number = observe(app, [1, 1, 0], "walk")
            observe(app, [1, 0, 0], "walk")
            if take_back:
                app.expect(200, "DELETE", f"/observations/{number}")
            manifest = app.get(f"/versions/{retrain(app)['version']}")["manifest"]
            digests.append(manifest["sha256"])
            ids = [[1, 5], [7, 7]] if take_back else [[1, 6]]
            assert manifest["observations"] == ids

    assert digests[0] == digests[1]


def test_a_job_that_waits_can_be_cancelled_and_one_that_is_over_can_not(app: App) -> None:
    """There is no trainer here, so the job waits for ever."""
    number = app.expect(202, "POST", "/retrain")["id"]

    assert app.get(f"/jobs/{number}")["state"] == "queued"
    assert app.expect(200, "DELETE", f"/jobs/{number}")["state"] == "cancelled"
    error = app.expect(409, "DELETE", f"/jobs/{number}")["error"]
    assert error == "job 1 can't be cancelled: its state is cancelled"
    assert app.expect(404, "DELETE", "/jobs/9")["error"] == "no job 9"
    assert app.expect(404, "GET", "/jobs/9/events")["error"] == "no job 9"


def test_a_job_that_runs_can_be_cancelled(app: App) -> None:
    order = {"iterations": 1_000_000, "restarts": 1000, "target_error": 0}
    number = app.expect(202, "POST", "/retrain", order)["id"]
    trainer = threading.Thread(target=app.work)
    trainer.start()
    until(lambda: app.get(f"/jobs/{number}")["progress"])

    app.expect(200, "DELETE", f"/jobs/{number}")

    trainer.join(DEADLINE)
    job = app.get(f"/jobs/{number}")
    assert (job["state"], job["version"]) == ("cancelled", None)
    assert app.get("/versions")["live"] == 1


def test_jobs_are_listed_newest_first_page_by_page(app: App) -> None:
    for _ in range(5):
        app.expect(202, "POST", "/retrain")

    first = app.get("/jobs?limit=3")
    rest = app.get(f"/jobs?limit=3&before={first['next']}")

    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == [5, 4, 3, 2, 1]
    assert rest["next"] is None


def test_a_second_request_with_the_same_key_is_the_same_job(app: App) -> None:
    key = {"Idempotency-Key": "once"}

    first = app.expect(202, "POST", "/retrain", {"seed": 3}, **key)
    again = app.expect(202, "POST", "/retrain", {"seed": 3}, **key)

    assert first["id"] == again["id"] == 1
    assert "another body" in app.expect(409, "POST", "/retrain", {"seed": 4}, **key)["error"]


def test_it_retrains_by_itself_after_so_many_observations(tmp_path: Path) -> None:
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


def test_it_retrains_by_itself_where_it_is_often_wrong(tmp_path: Path) -> None:
    with App(tmp_path, retrain_below=0.5, retrain_window=4) as app:
        for outcome in ("walk", "walk", "stop", "stop", "stop"):
            app.work()
            assert app.get("/jobs")["jobs"] == []
            observe(app, [0, 1, 0], outcome)
        app.work()
        job = app.get("/jobs")["jobs"][0]
        assert (job["trigger"], job["version"]) == ("accuracy", 2)


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    """A trainer without a server, when it has trained the first version."""
    trainer = Trainer(tmp_path / "work.log", data_dir=tmp_path)
    until(lambda: trainer.said("waits for jobs"))
    yield trainer
    trainer.process.terminate()
    assert trainer.process.wait(DEADLINE) == 0


def test_the_command_line_follows_a_job(trainer: Trainer, tmp_path: Path) -> None:
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
    assert not trainer.said("Traceback")
