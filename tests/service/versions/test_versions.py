"""Tests of versions over HTTP: lists, details, files, pressure, comparisons and promotions."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from streetlight.model.dataset import LAB
from streetlight.model.registry.repository import ModelRepository
from tests.client import App


def train(app: App, *options: str) -> None:
    app.train("--no-promote", *options)


def test_the_list_names_the_live_version(app: App) -> None:
    train(app, "--seed", "5")

    listed = app.get("/versions")

    assert listed["live"] == 1
    assert [row["version"] for row in listed["versions"]] == [2, 1]
    assert listed["versions"][1]["recipe"]["hidden_sizes"] == [4]
    assert listed["versions"][0]["parent"] == 1


def test_a_damaged_version_is_marked_in_the_list(app: App) -> None:
    train(app)
    path = app.data_dir / "models" / "2.npz"
    path.unlink()
    path.write_bytes(b"rubbish")

    listed = app.get("/versions")

    assert "2.npz" in listed["versions"][0]["damaged"]
    assert listed["versions"][1]["version"] == 1
    assert "2.npz" in app.expect(409, "POST", "/versions/2/promote")["error"]
    assert app.get("/readyz") == {"status": "ok", "version": 1}


def test_a_version_has_all_details(shared_app: App) -> None:
    response = shared_app.get("/versions/1")

    assert (response["version"], response["live"]) == (1, True)
    assert response["manifest"]["dataset"] == "four"
    assert np.array(response["weights"]["weights_1_2"]).shape == (4, 1)
    assert response["scale"] == 1
    assert [f"{error:.12g}" for iteration, error in response["errors"] if iteration % 10 == 0] == [
        "0.634231159844",
        "0.358384076763",
        "0.0830183113303",
        "0.0064670549571",
        "0.000329266900075",
        "1.50556226651e-05",
    ]
    assert [line["reason"] for line in response["promotions"]] == ["first training"]


def test_a_version_file_can_be_downloaded(shared_app: App) -> None:
    response = shared_app.request("GET", "/versions/1/weights")

    assert response.headers["Content-Disposition"] == "attachment; filename=streetlight-1.npz"
    with np.load(io.BytesIO(response.data), allow_pickle=False) as file:
        assert json.loads(str(file["manifest"]))["version"] == 1
        np.testing.assert_array_equal(file["lights"], LAB.lights)


def test_the_accuracy_of_a_version_is_shown_in_windows(app: App) -> None:
    train(app)
    empty = {"observations": 0, "correct": 0, "accuracy": None, "interval": [0, 1], "windows": []}
    assert app.get("/versions/2/accuracy") == {"version": 2, **empty, "next": None}

    outcomes = ["walk", "walk", "stop", "walk", "stop"]  # version 1 decides walk
    rows = [{"lights": [1, 0, 1], "outcome": outcome} for outcome in outcomes]
    app.expect(201, "POST", "/observations", {"observations": rows})
    times = [row["at"] for row in app.get("/observations?after=4")["observations"]]
    assert app.expect(200, "DELETE", "/observations/6")

    shown = app.get("/versions/1/accuracy?window=2&limit=1")
    rest = app.get(f"/versions/1/accuracy?window=2&after={shown['next']}")

    interval = binomtest(2, 4).proportion_ci(method="wilson")
    assert shown["interval"] == pytest.approx([interval.low, interval.high], rel=1e-12)
    assert (shown["observations"], shown["correct"], shown["accuracy"]) == (4, 2, 0.5)
    [first] = shown["windows"]
    assert (first["first_id"], first["last_id"]) == (5, 7) == (5, shown["next"])
    assert (first["first_at"], first["last_at"]) == (times[0], times[2])
    assert (first["observations"], first["correct"], first["accuracy"]) == (2, 1, 0.5)
    assert [(row["first_id"], row["last_id"]) for row in rest["windows"]] == [(8, 9)]
    assert rest["observations"] == 4

    assert "no version 3" in app.expect(404, "GET", "/versions/3/accuracy")["error"]
    app.expect(404, "GET", f"/versions/{10**17}/accuracy")
    for query in ("window=0", "window=100001", "limit=1001", "after=-1", "windows=3"):
        assert (
            query.split("=")[0] in app.expect(400, "GET", f"/versions/1/accuracy?{query}")["error"]
        )


def test_live_stands_for_the_number_of_the_live_version(two_versions: App) -> None:
    app, live = two_versions, two_versions.get("/versions")["live"]
    paths = ["", "/weights", "/accuracy", "/pressure?limit=1", "/diff/1"]
    for path in paths:
        by_name, by_number = (app.request("GET", f"/versions/{v}{path}") for v in ("live", live))
        assert by_name.status == by_number.status == 200, path
        assert by_name.data == by_number.data, path
        headers = [response.headers.get("Content-Disposition") for response in (by_name, by_number)]
        assert headers[0] == headers[1]
    assert app.get("/versions/1/diff/live") == app.get(f"/versions/1/diff/{live}")
    assert app.post("/versions/live/promote") == {"live": live, "promotion": None}
    for path in ("/versions/Live", "/versions/live1", "/versions/lives/weights", "/jobs/live"):
        app.expect(404, "GET", path)


def test_live_is_a_503_while_no_version_is_live(app: App) -> None:
    app.services.repository.unload()
    for method, path in (("GET", ""), ("GET", "/weights"), ("POST", "/promote")):
        error = app.expect(503, method, f"/versions/live{path}")["error"]
        assert error.startswith("no version is live; ")
    assert app.post("/versions/1/promote")["live"] == 1
    assert app.get("/versions/live")["version"] == 1


def test_weight_pressure_has_rows_and_sums(shared_app: App) -> None:
    all_rows = shared_app.get("/versions/1/pressure")
    page = shared_app.get("/versions/1/pressure?after=1&limit=2")

    assert (all_rows["version"], all_rows["total_rows"], len(all_rows["rows"])) == (1, 4, 4)
    assert page["rows"] == all_rows["rows"][1:3]
    assert page["sum"] == all_rows["sum"]
    pressures = np.array([row["pressure"]["weights_0_1"] for row in all_rows["rows"]])
    np.testing.assert_allclose(pressures.sum(axis=0), all_rows["sum"]["weights_0_1"], atol=1e-15)
    np.testing.assert_allclose(pressures.clip(min=0).sum(axis=0), all_rows["up"]["weights_0_1"])
    assert all_rows["rows"][2]["outcome"] == 0
    for row in all_rows["rows"]:
        for name, matrix in row["pressure"].items():
            signs = ["".join("0+-"[(p > 0) - (p < 0)] for p in weights) for weights in matrix]
            assert row["signs"][name] == signs
    assert shared_app.get("/versions/1/pressure?after=99")["rows"] == []


def test_the_pressure_before_a_training_is_that_of_its_first_network(two_versions: App) -> None:
    for version, seed in ((1, 1), (2, 6)):  # the run with seed 5 missed the target error
        start = two_versions.get(f"/versions/{version}/pressure?at=start")
        end = two_versions.get(f"/versions/{version}/pressure?at=end")
        scratch = two_versions.post("/pressure", {"dataset": "four", "seed": seed})

        assert two_versions.get(f"/versions/{version}")["manifest"]["seed"] == seed
        assert scratch == start | {"version": None}
        assert end == two_versions.get(f"/versions/{version}/pressure") != start


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=1001", 'limit: expected a number of at most 1000, got "1001"'),
        ("after=-1", 'after: expected a number of at least 0, got "-1"'),
        ("after=x", 'after: expected a whole number, got "x"'),
        ("page=1", "page: unknown parameter"),
    ],
)
def test_invalid_pages_of_pressure_are_refused(shared_app: App, query: str, message: str) -> None:
    assert message in shared_app.expect(400, "GET", f"/versions/1/pressure?{query}")["error"]


def test_a_comparison_lists_every_changed_pattern(app: App) -> None:
    train(app, "--dataset", "six", "--iterations", "300")

    response = app.get("/versions/1/diff/2")

    assert (response["compared"], response["all_patterns"]) == (8, True)
    repository = ModelRepository(app.data_dir / "models")
    one, two = repository.load(1).network, repository.load(2).network
    for change in response["changes"]:
        was, now = one.score(change["lights"]), two.score(change["lights"])
        assert (change["was"], change["now"]) == (
            "walk" if was > 0.501 else "stop",
            "walk" if now > 0.501 else "stop",
        )
        assert change["difference"] == now - was
    changed = [change["lights"] for change in response["changes"]]
    assert [1, 0, 1] in changed  # the lab's two datasets contradict each other here
    assert [1, 1, 1] in changed
    assert [0, 1, 1] not in changed
    assert app.get("/versions/2/diff/1")["largest_difference"] == response["largest_difference"]


def test_versions_with_different_numbers_of_lights_cannot_be_compared(
    app: App, tmp_path: Path
) -> None:
    (tmp_path / "two.csv").write_text("a,b,outcome\n1,0,walk\n0,1,stop\n")
    train(app, "--dataset", str(tmp_path / "two.csv"))

    message = app.expect(409, "GET", "/versions/1/diff/2")["error"]

    assert message == (
        "can't compare version 1, which takes 3 lights, with version 2, which takes 2"
    )


def test_versions_with_many_lights_are_compared_on_their_training_data(
    app: App, tmp_path: Path
) -> None:
    header = ",".join(f"light_{i}" for i in range(12))
    rows = [",".join("1" if i in (j, 11) else "0" for i in range(12)) for j in range(4)]
    lines = [f"{row},{'walk' if i % 2 else 'stop'}" for i, row in enumerate(rows)]
    (tmp_path / "many.csv").write_text("\n".join([f"{header},outcome", *lines]) + "\n")
    for seed in ("1", "50"):
        train(app, "--dataset", str(tmp_path / "many.csv"), "--iterations", "500", "--seed", seed)

    response = app.get("/versions/2/diff/3")

    assert (response["compared"], response["all_patterns"], response["changes"]) == (4, False, [])


def test_promote_and_rollback_change_the_live_version(app: App) -> None:
    train(app, "--seed", "5")

    promoted = app.post("/versions/2/promote", {"reason": "seed 5"})
    assert promoted["live"] == 2
    assert promoted["promotion"]["instead_of"] == 1
    assert promoted["promotion"]["reason"] == "seed 5"
    assert app.post("/predict", {"lights": [1, 0, 1]})["version"] == 2
    assert app.post("/versions/2/promote") == {"live": 2, "promotion": None}

    rolled_back = app.post("/rollback")
    assert (rolled_back["live"], rolled_back["promotion"]["action"]) == (1, "rollback")
    assert rolled_back["promotion"]["reason"] == "by request"
    assert "nothing to roll back to" in app.expect(409, "POST", "/rollback")["error"]


def test_an_invalid_body_of_promote_or_rollback_is_refused(app: App) -> None:
    message = app.expect(400, "POST", "/versions/1/promote", {"reason": "x" * 201})["error"]
    assert message.startswith("reason: expected at most 200 characters")
    message = app.expect(400, "POST", "/rollback", {"reason": "a\0"})["error"]
    assert message.startswith("reason: expected text without NUL characters")
    message = app.expect(400, "POST", "/rollback", {"why": "x"})["error"]
    assert message == "why: unknown field; expected reason"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/versions/9"),
        ("GET", "/versions/9/weights"),
        ("GET", "/versions/9/pressure"),
        ("GET", "/versions/1/diff/9"),
        ("POST", "/versions/9/promote"),
        ("POST", "/versions/9/verify"),
    ],
)
def test_an_unknown_version_is_a_404_with_the_existing_versions(
    shared_app: App, method: str, path: str
) -> None:
    assert shared_app.expect(404, method, path)["error"] == ("no version 9; existing versions: 1")


@pytest.mark.process
@pytest.mark.process
def test_a_version_is_verified(app: App) -> None:
    response = app.post("/versions/1/verify")

    assert response["identical"] is True
    assert response["numpy"] == [np.__version__, np.__version__]


@pytest.mark.process
@pytest.mark.process
def test_a_version_without_training_data_cannot_be_verified(app: App) -> None:
    path = app.data_dir / "models" / "1.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "lights"}
    path.unlink()
    np.savez(path, **arrays)

    assert "lights" in app.expect(409, "POST", "/versions/1/verify")["error"]
