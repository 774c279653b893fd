"""Tests of `prune`: it removes what is old, but nothing that anything else names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import App, Run, invoke
from tests.service.archive.conftest import log_prediction, place, run

QUICK = {"dataset": "six", "iterations": 1}


@pytest.fixture
def used(tmp_path: Path, database_url: str | None) -> Iterator[App]:
    """Versions 1 to 6 and jobs 1 to 7: job 4 was cancelled, job 7 is queued."""
    with App(prediction_log=True, **place(tmp_path, database_url)) as app:
        retrain(app)
        retrain(app)
        log_prediction(app, "r-1", 3)
        retrain(app, promote="always")
        app.expect(202, "POST", "/retrain")
        app.expect(200, "DELETE", "/jobs/4")
        app.expect(202, "POST", "/retrain", QUICK, **{"Idempotency-Key": "a"})
        app.work()
        retrain(app)
        app.expect(202, "POST", "/retrain")
        yield app


def retrain(app: App, **body: object) -> None:
    app.expect(202, "POST", "/retrain", QUICK | body)
    app.work()


def prune(app: App, *options: object) -> Run:
    url = app.services.settings.database_url
    settings = place(app.data_dir, url.get_secret_value() if url else None)
    return run("prune", *options, **settings)


def numbers(app: App) -> tuple[list[int], list[int]]:
    """Return the versions and the jobs that an application lists, ascending."""
    versions = [version["version"] for version in app.get("/versions")["versions"]]
    return versions[::-1], [job["id"] for job in app.get("/jobs")["jobs"]][::-1]


def check(app: App) -> str:
    url = app.services.settings.database_url
    return run("check", **place(app.data_dir, url.get_secret_value() if url else None)).stdout


def test_what_is_old_and_not_named_is_removed(used: App) -> None:
    listed = prune(used, "--keep", 1, "--dry-run").stdout
    assert listed == "would remove 1 versions: 2\nwould remove 2 jobs: 1, 4\n"
    assert numbers(used) == ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7])

    assert prune(used, "--keep", 1).stdout == "removed 1 versions: 2\nremoved 2 jobs: 1, 4\n"

    # 1 and 4 were live, the log names 3, job 5 has an idempotency key, 6 is the newest.
    assert numbers(used) == ([1, 3, 4, 5, 6], [2, 3, 5, 6, 7])
    assert check(used).endswith(
        "checked 5 versions, 2 promotions, 4 observations, 5 jobs; violations: 0\n"
    )
    assert used.expect(404, "GET", "/jobs/1")["error"] == "no job 1"
    assert prune(used, "--keep", 1).stdout == "removed 0 versions\nremoved 0 jobs\n"


def test_nothing_is_given_again_after_a_prune(used: App) -> None:
    used.expect(200, "DELETE", "/jobs/7")

    prune(used, "--keep", 1)

    assert used.post("/rollback")["live"] == 1
    assert used.expect(202, "POST", "/retrain", QUICK)["id"] == 8
    used.work()
    assert used.get("/jobs/8")["version"] == 7
    key = {"Idempotency-Key": "a"}
    assert used.expect(202, "POST", "/retrain", QUICK, **key)["version"] == 5


def test_the_newest_are_kept(used: App) -> None:
    assert prune(used, "--keep", 5).stdout == "removed 0 versions\nremoved 0 jobs\n"
    # Job 2 made version 3, which the log names; job 1 names version 2.
    assert prune(used, "--keep", 4).stdout == "removed 1 versions: 2\nremoved 1 jobs: 1\n"


def test_the_log_is_only_reduced_on_request(used: App) -> None:
    log_prediction(used, "r-2", 2)

    output = prune(used, "--keep", 1, "--keep-predictions", 1).stdout

    assert output == "removed 1 predictions\nremoved 1 versions: 3\nremoved 2 jobs: 2, 4\n"
    assert [row["id"] for row in used.get("/predictions")["predictions"]] == [2]


def test_an_observation_keeps_its_version(used: App) -> None:
    """Only an observation that names a logged prediction has a version that never was live."""
    observation = {"lights": [1, 0, 0.1], "outcome": "stop", "request_id": "r-1"}
    used.expect(201, "POST", "/observations", {"observations": [observation]})

    output = prune(used, "--keep", 1, "--keep-predictions", 0).stdout

    assert output == "removed 1 predictions\nremoved 1 versions: 2\nremoved 2 jobs: 1, 4\n"


def test_a_running_job_keeps_the_version_that_it_has_published(
    tmp_path: Path,
) -> None:
    """The trainer crashed before it could end the job, whose row names no version yet."""
    with App(tmp_path) as app:
        retrain(app)
        retrain(app)
        retrain(app)
        with app.services.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE jobs SET state = 'running', version = NULL, finished_at = NULL WHERE id = 1"
            )

        assert prune(app, "--keep", 1).stdout == "removed 1 versions: 3\nremoved 1 jobs: 2\n"


def test_damaged_versions_can_be_removed(tmp_path: Path) -> None:
    with App(tmp_path) as app:
        retrain(app)
        retrain(app)
        (tmp_path / "models" / "2.npz").write_bytes(b"damaged")

        prune(app, "--keep", 1)

        assert numbers(app) == ([1, 3], [2])


def test_a_folder_without_a_database_is_pruned(tmp_path: Path) -> None:
    invoke("train", "--iterations", "1", data_dir=tmp_path)  # doesn't meet its target
    run("train", data_dir=tmp_path)
    run("train", "--seed", 5, data_dir=tmp_path)

    output = run("prune", "--keep", 1, data_dir=tmp_path).stdout

    assert output == "removed 1 versions: 1\nremoved 0 jobs\n"
    assert not (tmp_path / "streetlight.db").exists()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--keep", "0"],
        ["--keep", "x"],
        ["--keep", "1", "--keep-predictions", str(2**63)],
    ],
)
def test_the_number_to_keep_is_required(tmp_path: Path, options: list[str]) -> None:
    assert invoke("prune", *options, data_dir=tmp_path).returncode == 2
