"""The learning loop over HTTP, with a real trainer: jobs, the gate, and what they leave behind."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.config import Settings
from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.wiring import Services, build_services
from tests.server import DEADLINE, Server, environment, streetlight


@pytest.fixture
def learner(tmp_path: Path) -> Any:
    with Server(tmp_path, trainer=True) as server:
        yield server


def finished(server: Server, job: int) -> Any:
    deadline = time.monotonic() + DEADLINE
    while (told := server.get(f"/jobs/{job}"))["state"] in ("queued", "running"):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def retrain(server: Server, **order: object) -> Any:
    return finished(server, server.expect(202, "POST", "/retrain", order)["id"])


def observe(server: Server, lights: list[float], outcome: str) -> int:
    body = {"lights": lights, "outcome": outcome}
    number: int = server.expect(201, "POST", "/observations", body)["results"][0]["id"]
    return number


def test_the_whole_loop(learner: Server) -> None:
    assert learner.post("/predict", {"lights": [0, 1, 0]})["decision"] == "walk"
    observe(learner, [0, 1, 0], "stop")

    response = learner.request("POST", "/retrain", None, **{"X-Request-ID": "trace-me"})
    assert (response.status, response.headers["Location"]) == (202, "/jobs/1")
    job = finished(learner, 1)

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


def test_a_recipe_may_be_given(learner: Server) -> None:
    job = retrain(learner, hidden_sizes=[6, 4], iterations=400, batch_size=None, seed=7)

    assert job["state"] == "succeeded"
    recipe = learner.get(f"/versions/{job['version']}")["manifest"]["recipe"]
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
    shared_server: Server, order: dict[str, object], message: str
) -> None:
    assert shared_server.expect(400, "POST", "/retrain", order)["error"].startswith(message)


def test_a_version_that_misses_its_target_is_kept_but_does_not_go_live(learner: Server) -> None:
    job = retrain(learner, activation="linear", restarts=0)

    assert (job["state"], job["version"], job["promoted"]) == ("succeeded", 2, False)
    assert "above the target of 0.01" in job["verdict"]["reasons"][0]
    assert learner.get("/versions")["live"] == 1


def test_a_version_that_is_less_accurate_does_not_go_live(learner: Server) -> None:
    job = retrain(learner, hidden_sizes=[], target_error=None)

    assert job["promoted"] is False
    [reason] = job["verdict"]["reasons"]
    assert reason == (
        f"the accuracy is {job['verdict']['accuracy']:.1%}, below the 100.0% of version 1 "
        "on the same observations"
    )


def test_must_hold_is_held_and_always_overrides_on_record(learner: Server) -> None:
    must_hold = [{"lights": [0, 0, 1], "outcome": "walk"}, {"lights": [1], "outcome": "walk"}]

    job = retrain(learner, must_hold=must_hold)
    forced = retrain(learner, must_hold=must_hold, promote="always")
    never = retrain(learner, promote="never", seed=9)

    assert job["promoted"] is False
    assert job["verdict"]["reasons"] == [
        "must_hold: expected walk for [0.0, 0.0, 1.0], got stop",
        "must_hold: expected a pattern of 3 lights, got [1.0]",
    ]
    assert (forced["promoted"], forced["verdict"]["forced"]) == (True, True)
    assert learner.get(f"/versions/{forced['version']}")["promotions"][0]["reason"] == (
        "job 2, forced"
    )
    assert (never["promoted"], never["verdict"]["passed"]) == (False, True)


def test_must_hold_may_be_a_setting(tmp_path: Path) -> None:
    must_hold = '[{"lights": [0, 0, 1], "outcome": "walk"}]'
    with Server(tmp_path, trainer=True, must_hold=must_hold) as server:
        assert "must_hold: expected walk" in retrain(server)["verdict"]["reasons"][0]


def test_a_ledger_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path, trainer=True, start_empty=True) as server:
        empty = retrain(server)
        observe(server, [0, 1, 0], "stop")
        one_sided = retrain(server)

    assert (empty["state"], one_sided["state"]) == ("failed", "failed")
    assert empty["error"] == "expected observations of both outcomes, got an empty ledger"
    assert one_sided["error"] == (
        "expected observations of both outcomes, got 1 with stop and none with walk"
    )


def test_a_training_that_diverges_fails_its_job(learner: Server) -> None:
    job = retrain(learner, hidden_sizes=[], alpha=50, iterations=5000, restarts=0)

    assert job["state"] == "failed"
    assert job["error"].startswith("training diverged")
    assert job["version"] is None


def test_conflicts_train_on_their_mean(learner: Server) -> None:
    for outcome in ("stop", "stop", "walk"):
        observe(learner, [1, 1, 0], outcome)
    job = retrain(learner)

    manifest = learner.get(f"/versions/{job['version']}")["manifest"]
    assert (manifest["rows"], manifest["conflicts"]) == (5, 1)
    assert learner.post("/predict", {"lights": [1, 1, 0]})["score"] == pytest.approx(1 / 3, abs=0.1)
    assert job["verdict"]["accuracy"] == pytest.approx(6 / 7)


def test_withdrawing_gives_exactly_the_version_that_would_have_come_without(
    tmp_path: Path,
) -> None:
    digests = []
    for name, take_back in (("with", True), ("without", False)):
        with Server(tmp_path / name, trainer=True) as server:
            observe(server, [0, 1, 0], "stop")
            if take_back:
                number = observe(server, [1, 1, 0], "walk")
            observe(server, [1, 0, 0], "walk")
            if take_back:
                server.expect(200, "DELETE", f"/observations/{number}")
            manifest = server.get(f"/versions/{retrain(server)['version']}")["manifest"]
            digests.append(manifest["sha256"])
            ids = [[1, 5], [7, 7]] if take_back else [[1, 6]]
            assert manifest["observations"] == ids

    assert digests[0] == digests[1]


def test_a_job_that_waits_can_be_cancelled_and_one_that_is_over_can_not(server: Server) -> None:
    """There is no trainer here, so the job waits for ever."""
    number = server.expect(202, "POST", "/retrain")["id"]

    assert server.get(f"/jobs/{number}")["state"] == "queued"
    assert server.expect(200, "DELETE", f"/jobs/{number}")["state"] == "cancelled"
    error = server.expect(409, "DELETE", f"/jobs/{number}")["error"]
    assert error == "job 1 can't be cancelled: its state is cancelled"
    assert server.expect(404, "DELETE", "/jobs/9")["error"] == "no job 9"
    assert server.expect(404, "GET", "/jobs/9/events")["error"] == "no job 9"


def test_a_job_that_runs_can_be_cancelled(learner: Server) -> None:
    order = {"iterations": 1_000_000, "restarts": 1000, "target_error": 0}
    number = learner.expect(202, "POST", "/retrain", order)["id"]
    deadline = time.monotonic() + DEADLINE
    while not learner.get(f"/jobs/{number}")["progress"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    learner.expect(200, "DELETE", f"/jobs/{number}")

    job = finished(learner, number)
    assert (job["state"], job["version"]) == ("cancelled", None)
    assert learner.get("/versions")["live"] == 1


def test_jobs_are_listed_newest_first_page_by_page(server: Server) -> None:
    for _ in range(5):
        server.expect(202, "POST", "/retrain")

    first = server.get("/jobs?limit=3")
    rest = server.get(f"/jobs?limit=3&before={first['next']}")

    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == [5, 4, 3, 2, 1]
    assert rest["next"] is None


def test_a_second_request_with_the_same_key_is_the_same_job(server: Server) -> None:
    key = {"Idempotency-Key": "once"}

    first = server.expect(202, "POST", "/retrain", {"seed": 3}, **key)
    again = server.expect(202, "POST", "/retrain", {"seed": 3}, **key)

    assert first["id"] == again["id"] == 1
    assert "another body" in server.expect(409, "POST", "/retrain", {"seed": 4}, **key)["error"]


@contextmanager
def services(**settings: Any) -> Iterator[Services]:
    """What a trainer decides with; a test that asks it doesn't depend on when the trainer does."""
    ours = build_services(Settings(**settings))
    yield ours
    ours.engine.dispose()


def test_it_retrains_by_itself_after_so_many_observations(tmp_path: Path) -> None:
    with (
        Server(tmp_path, trainer=True, retrain_after=3) as server,
        services(data_dir=tmp_path, retrain_after=3) as ours,
    ):
        for lights in ([0.0, 1, 0], [1.0, 1, 0], [0.5, 0, 1]):
            submit_if_due(ours)
            assert server.get("/jobs")["jobs"] == []
            observe(server, lights, "stop")
        server.said("job 1: version 2")
        job = server.get("/jobs")["jobs"][0]
        observe(server, [0, 1, 0], "stop")
        submit_if_due(ours)
        assert (job["trigger"], server.get("/jobs")["jobs"][0]["id"]) == ("observations", 1)


def test_it_retrains_by_itself_where_it_is_often_wrong(tmp_path: Path) -> None:
    settings = {"retrain_below": 0.5, "retrain_window": 4}
    with (
        Server(tmp_path, trainer=True, **settings) as server,
        services(data_dir=tmp_path, **settings) as ours,
    ):
        for outcome in ("walk", "walk", "stop", "stop", "stop"):
            submit_if_due(ours)
            assert server.get("/jobs")["jobs"] == []
            observe(server, [0, 1, 0], outcome)
        server.said("job 1: version 2")
        assert server.get("/jobs")["jobs"][0]["trigger"] == "accuracy"


def test_the_command_line_follows_a_job(learner: Server) -> None:
    observe(learner, [0, 1, 0], "stop")

    run = streetlight("retrain", "--watch", data_dir=learner.data_dir)

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("job 1 is queued\n")
    assert "job 1 succeeded" in run.stdout
    assert "version 2 is live\n  [0.0, 1.0, 0.0]: was walk, now stop\n" in run.stdout


def test_the_trainer_works_without_a_server(tmp_path: Path) -> None:
    trainer = subprocess.Popen(
        [sys.executable, "-m", "streetlight.service.cli", "work"],
        env=environment(data_dir=tmp_path),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + DEADLINE
    while ModelRepository(tmp_path / "models").live() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    run = streetlight("retrain", "--watch", "--promote", "never", data_dir=tmp_path)
    trainer.terminate()

    assert trainer.wait(DEADLINE) == 0
    assert "version 2 is not promoted" in run.stdout
    weights = ModelRepository(tmp_path / "models").load(2).network.weights
    assert all(np.isfinite(matrix).all() for matrix in weights)
