"""Tests of the exam: versions judged on observations that neither has learnt from."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetlight.model.dataset import LAB, Dataset
from streetlight.model.exam import Exam
from streetlight.model.id_ranges import subtract
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version
from streetlight.service.learning.gate import Promote, judge
from tests.client import App, Client, invoke
from tests.server import DEADLINE, ForkedServer, streetlight
from tests.service.conftest import Site, until
from tests.service.services import training, version


def observe(client: Client, count: int) -> None:
    """Record observations of all eight patterns, whose outcome is that of the last light."""
    rows = [
        {"lights": [i & 1, i >> 1 & 1, i >> 2 & 1], "outcome": "walk" if i & 4 else "stop"}
        for i in range(count)
    ]
    result = client.expect(201, "POST", "/observations", {"observations": rows})
    assert result["recorded"] == count


def retrain(app: App, **body: object) -> Any:
    number = app.expect(202, "POST", "/retrain", body)["id"]
    app.work()
    return app.get(f"/jobs/{number}")


@pytest.mark.process
def test_a_version_is_judged_on_observations_that_neither_has_learnt_from(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trainer=True, start_empty=True) as server:
        observe(server, 200)
        server.expect(202, "POST", "/retrain")
        job = until(lambda: (found := server.get("/jobs/1"))["finished_at"] and found)

        verdict = job["verdict"]
        assert (verdict["unseen"], verdict["why_no_exam"]) == (True, None)
        exam = verdict["exam"]
        assert exam["observations"] == [[161, 200]]
        # The lab's version 1 decides four of the eight patterns as they were observed.
        assert (exam["champion"]["right"], exam["challenger"]["right"]) == (20, 40)
        table = [exam[cell] for cell in ("both_right", "only_champion", "only_challenger")]
        assert (*table, exam["both_wrong"]) == (20, 0, 20, 0)
        assert exam["p"] == 2**-19
        assert exam["champion"]["interval"] == pytest.approx([0.3519, 0.6481], abs=1e-4)
        assert (verdict["accuracy"], verdict["live_accuracy"], job["promoted"]) == (1, 0.5, True)
        manifest = server.get("/versions/2")["manifest"]
        assert manifest["observations"] == [[1, 160]]
        assert manifest["exam"]["observations"] == [[161, 200]]
        assert manifest["exam"]["right"] == 40
        assert server.post("/versions/2/verify")["identical"] is True

        run = streetlight("retrain", "--watch", "--promote", "never", data_dir=tmp_path)
        assert run.stdout.endswith(
            "right on 30 of 30 observations that neither version has learnt from, version 2 on 30; "
            "p = 1\n"
        )

        change(tmp_path / "models" / "2.npz", "exam_walk_vs_stop", lambda rows: 1 - rows)
        assert server.post("/versions/2/verify")["differs"] == ["exam"]


def change(path: Path, name: str, changed: Callable[[Any], Any]) -> None:
    """Change an array of a version file."""
    with np.load(path) as file:
        arrays = dict(file)
    path.unlink()
    np.savez(path, **(arrays | {name: changed(arrays[name])}))


def test_the_request_overrides_the_setting(tmp_path: Path) -> None:
    with App(tmp_path, exam=35, start_empty=True) as app:
        observe(app, 60)
        for body, ids in (({}, [[26, 60]]), ({"exam": 0.9}, [[7, 60]]), ({"exam": 5}, [[56, 60]])):
            job = retrain(app, promote="never", **body)
            assert job["exam"] == body.get("exam")
            assert job["verdict"]["exam"]["observations"] == ids
        verdict = retrain(app, promote="never", exam=0)["verdict"]
        assert (verdict["unseen"], verdict["why_no_exam"]) == (False, "exam is 0")


def test_a_small_ledger_is_judged_on_the_training_data(app: App) -> None:
    observe(app, 29)
    verdict = retrain(app)["verdict"]

    assert (verdict["unseen"], verdict["exam"], verdict["accuracy"]) == (False, None, 31 / 33)
    assert verdict["why_no_exam"] == (
        "an exam requires 30 observations that the live version hasn't learnt from, got 29"
    )
    manifest = app.get("/versions/2")["manifest"]
    assert (manifest["exam"], manifest["observations"]) == (None, [[1, 33]])
    assert manifest["why_no_exam"] == verdict["why_no_exam"]


@pytest.mark.parametrize(("name", "source"), [("rows.csv", "rows.csv"), ("four", "./four")])
def test_a_version_trained_from_a_file_may_have_learnt_from_any_observation(
    app: App, tmp_path: Path, name: str, source: str
) -> None:
    """Also if the file has the name of a dataset of the lab."""
    rows = tmp_path / name
    rows.write_text("a,b,c,outcome\n1,0,1,walk\n0,1,0,stop\n")
    app.train("--dataset", str(rows))
    observe(app, 100)
    verdict = retrain(app)["verdict"]

    assert (verdict["unseen"], verdict["against"]) == (False, 2)
    assert verdict["why_no_exam"] == (
        f"which observations version 2 has learnt from isn't known: its training data is {source}"
    )


def promote_before_judging(monkeypatch: pytest.MonkeyPatch, provenance: Provenance) -> None:
    """Let another version go live after each publication, before the published one is judged."""
    publish = ModelRepository.publish

    def publish_and_promote(repository: ModelRepository, *arguments: Any) -> Version:
        version = publish(repository, *arguments)
        other = publish(repository, training(0.0, 0.0, 1.0), LAB, provenance)
        repository.promote(other.number)
        return version

    monkeypatch.setattr(ModelRepository, "publish", publish_and_promote)


@pytest.mark.parametrize(
    ("provenance", "unseen", "why_no_exam"),
    [
        (Provenance("ledger", observations=[(1, 165)]), [[166, 200]], ""),
        (
            Provenance("ledger", observations=[(1, 163), (180, 183)]),
            [[164, 179], [184, 200]],
            "",
        ),
        (Provenance("ledger", observations=[(1, 9), (150, 171)]), None, "all but 29 of the 40"),
        (Provenance("rows.csv"), None, "isn't known: its training data is rows.csv"),
    ],
)
def test_what_a_version_that_went_live_meanwhile_has_learnt_leaves_the_exam(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provenance: Provenance,
    unseen: list[list[int]] | None,
    why_no_exam: str,
) -> None:
    with App(tmp_path, start_empty=True) as app:
        observe(app, 200)
        promote_before_judging(monkeypatch, provenance)
        verdict = retrain(app)["verdict"]

    assert verdict["against"] == 3
    assert verdict["unseen"] is (unseen is not None)
    assert (verdict["exam"] and verdict["exam"]["observations"]) == unseen
    assert why_no_exam in (verdict["why_no_exam"] or "")


EXIT_AFTER_PUBLICATION = """
import os
from streetlight.model.registry.repository import ModelRepository

def publish(*arguments, publish=ModelRepository.publish):
    publish(*arguments)
    os._exit(9)

ModelRepository.publish = publish
"""


@pytest.mark.embedded
@pytest.mark.process
def test_the_next_attempt_judges_a_published_version_by_the_exam_in_its_file(
    tmp_path: Path, database_url: str | None
) -> None:
    """Between the two attempts, the ledger doubles, and what was observed is withdrawn."""
    with Site(tmp_path, database_url, start_empty=True) as site:
        observe(site, 200)
        number = site.retrain()
        assert site.trainer(EXIT_AFTER_PUBLICATION).process.wait(DEADLINE) == 9
        observe(site, 200)
        for observation in (1, 161, 200):
            site.expect(200, "DELETE", f"/observations/{observation}")
        site.trainer()
        job = site.wait_until_finished(number)

        assert (job["state"], job["attempt"], job["version"]) == ("succeeded", 2, 2)
        verdict = job["verdict"]
        assert (verdict["unseen"], verdict["against"]) == (True, 1)
        assert verdict["exam"]["observations"] == [[161, 200]]
        assert verdict["exam"]["challenger"]["right"] == 40
        site.check()


@pytest.mark.parametrize(
    ("only_challenger", "only_champion", "passed"),
    [(6, 0, True), (5, 0, False), (0, 0, False), (15, 5, True), (14, 6, False), (0, 6, False)],
)
def test_better_requires_a_significant_difference(
    only_challenger: int, only_champion: int, passed: bool
) -> None:
    """The p-values of the first two are 1/32 and 1/16, and of the fourth and fifth .04 and .12."""
    outcomes = np.array([1.0] * only_challenger + [0.0] * only_champion + [1.0] * 20)
    lights = np.zeros((len(outcomes), 2))
    lights[:only_challenger, 0] = lights[only_challenger : only_challenger + only_champion, 0] = 1
    lights[only_challenger + only_champion :] = 1
    exam = Exam([(101, 100 + len(outcomes))], Dataset(lights, outcomes))
    learnt = Dataset(np.ones((1, 2)), np.ones(1))
    # Both decide walk for (1, 1); only the new version does for (1, 0).
    new, live = (
        replace(found, manifest=replace(found.manifest, observations=[(1, 100)]))
        for found in (version(2, 1.0, 0.0), version(1, 0.0, 1.0))
    )
    cases: list[tuple[Promote, bool]] = [
        ("better", passed),
        ("not_worse", only_challenger >= only_champion),
    ]
    for promote, expected in cases:
        verdict = judge(new, learnt, live, (), exam=exam, promote=promote)
        assert verdict.exam is not None
        found = (verdict.exam.only_challenger, verdict.exam.only_champion)
        assert (*found, verdict.passed) == (only_challenger, only_champion, expected)
        assert len(verdict.reasons) == (not expected)


def test_better_requires_an_exam(app: App) -> None:
    observe(app, 8)
    job = retrain(app, promote="better", target_error=None)

    assert job["promoted"] is False
    [reason] = job["verdict"]["reasons"]
    assert reason.startswith("promote: better requires an exam, and there is none: an exam requ")


def test_the_former_name_of_not_worse_is_accepted(app: App) -> None:
    job = app.expect(202, "POST", "/retrain", {"promote": "if_better"})
    assert job["promote"] == "not_worse"
    for arguments in (["--promote", "if_better"], ["--exam", "50"]):
        assert invoke("retrain", *arguments, data_dir=app.data_dir).returncode == 0
    jobs = app.get("/jobs")["jobs"]
    assert [(job["promote"], job["exam"]) for job in jobs] == [
        ("not_worse", 50),
        ("not_worse", None),
        ("not_worse", None),
    ]


def test_the_command_line_refuses_an_exam_with_a_dataset(tmp_path: Path) -> None:
    run = invoke("retrain", "--exam", "0.5", "--dataset", "six", data_dir=tmp_path)
    assert run.returncode == 2
    assert "--exam: expected none with a dataset, got 0.5" in run.stderr


def test_the_command_line_refuses_an_invalid_exam(tmp_path: Path) -> None:
    run = invoke("retrain", "--exam", "1.5", data_dir=tmp_path)
    assert run.returncode == 2
    assert (
        "expected a share from 0 to below 1, or a whole number from 1 to 10000, got 1.5"
        in run.stderr
    )


def test_no_version_has_learnt_from_its_exam_whatever_happened_before(
    tmp_path: Path, database_url: str | None
) -> None:
    """Random observations, withdrawals, promotions and jobs; `check` repeats each exam."""
    generator = random.Random(0)  # noqa: S311 - not for secrets
    with App(tmp_path, database_url=database_url) as app:
        for _ in range(12):
            observe(app, generator.randint(1, 80))
            total = app.get("/observations?limit=1")["total"]
            for number in generator.sample(range(1, total), min(3, total - 1)):
                app.expect(200, "DELETE", f"/observations/{number}")
            if generator.random() < 0.3:
                app.services.repository.promote(
                    generator.choice(app.services.repository.versions())
                )
            retrain(
                app,
                iterations=1,
                restarts=0,
                target_error=None,
                promote=generator.choice(["not_worse", "better", "always", "never"]),
                exam=generator.choice([0, 0.2, 0.5, 10, 50]),
            )
        verdicts = [
            job["verdict"] | {"version": job["version"]} for job in app.get("/jobs")["jobs"]
        ]
        for verdict in verdicts:
            if verdict["unseen"]:
                ids = verdict["exam"]["observations"]
                for number in (verdict["version"], verdict["against"]):
                    learnt = app.get(f"/versions/{number}")["manifest"]["observations"] or []
                    assert subtract(ids, learnt) == [tuple(pair) for pair in ids]
        settings = {"database_url": database_url} if database_url else {}
        run = invoke("check", data_dir=tmp_path, **settings)

    assert run.stdout.endswith("violations: 0\n")
    assert len(verdicts) == 12
    assert 4 < sum(verdict["unseen"] for verdict in verdicts) < 12
