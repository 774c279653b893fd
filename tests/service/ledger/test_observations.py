"""Tests of the ledger over HTTP: verdicts, pages, exports, withdrawals and retries."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streetlight.model.dataset import LAB
from streetlight.service.cli import retraining
from streetlight.service.ledger import ingest
from tests.client import App, invoke


def test_a_new_ledger_has_the_lab_s_rows(app: App) -> None:
    page = app.get("/observations")

    assert [row["lights"] for row in page["observations"]] == LAB.lights.tolist()
    assert {row["source"] for row in page["observations"]} == {"lab"}
    assert (page["total"], page["next"]) == (4, None)


def test_start_empty_creates_an_empty_ledger(tmp_path: Path) -> None:
    with App(tmp_path, start_empty=True) as app:
        assert app.get("/observations")["total"] == 0


def test_each_row_has_a_verdict(app: App) -> None:
    rows = [
        {"lights": [0, 1, 0], "outcome": "stop"},
        {"lights": [1, 0, 1], "outcome": "stop", "id": "mine"},
        {"lights": [1, 0, 1], "outcome": "stop", "id": "mine"},
        {"lights": [1, 0, 1], "outcome": "walk", "id": "mine"},
        {"lights": [0, 1, 0], "outcome": "walk"},
        {"lights": [0, 1], "outcome": "walk"},
        {"lights": [0, "1", 0], "outcome": "run"},
        "walk",
    ]

    result = app.expect(207, "POST", "/observations", {"observations": rows})

    assert result["results"] == [
        {"verdict": "accepted", "id": 5},
        {"verdict": "contradicts", "id": 6, "contradicts": [1]},
        {"verdict": "duplicate", "id": 6},
        {
            "verdict": "rejected",
            "id": 6,
            "error": "id: observation 6 has this id and other content; use a new id",
        },
        {"verdict": "contradicts", "id": 7, "contradicts": [5]},
        {"verdict": "rejected", "error": "lights: expected 3 lights, as in the ledger, got 2"},
        {
            "verdict": "rejected",
            "error": 'lights[1]: expected a number, got "1"; '
            "outcome: expected 'walk' or 'stop', got \"run\"",
        },
        {"verdict": "rejected", "error": 'expected a JSON object, got "walk"'},
    ]
    assert {
        name: result[name] for name in ("recorded", "contradicting", "duplicates", "rejected")
    } == {
        "recorded": 3,
        "contradicting": 2,
        "duplicates": 1,
        "rejected": 4,
    }


def test_the_status_depends_on_the_verdict(app: App) -> None:
    good = {"lights": [0, 1, 0], "outcome": "stop", "id": "a"}

    assert app.request("POST", "/observations", good).status == 201
    assert app.request("POST", "/observations", good).status == 200
    result = app.expect(400, "POST", "/observations", {"lights": [0, 1, 0]})
    assert result["error"] == "outcome: required, but missing"
    assert result["rejected"] == 1
    result = app.expect(409, "POST", "/observations", good | {"outcome": "walk"})
    assert result["error"] == "id: observation 5 has this id and other content; use a new id"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"observations": []}, "observations: expected a list of 1 to 10000 observations"),
        (
            {"observations": [{}] * 10_001},
            "observations: expected a list of 1 to 10000 observations",
        ),
        ({"observations": {}, "source": "x"}, "observations: expected a list"),
        ('{"lights": [1', "malformed JSON: EOF while parsing a list at line 1 column 13"),
    ],
)
def test_an_invalid_body_is_refused(shared_app: App, body: object, message: str) -> None:
    assert shared_app.expect(400, "POST", "/observations", body)["error"].startswith(message)


def test_the_live_version_s_prediction_is_stored_with_each_observation(app: App) -> None:
    for lights, outcome in (([1, 0, 1], "walk"), ([0, 0, 1], "walk"), ([1, 1, 1], "stop")):
        app.expect(201, "POST", "/observations", {"lights": lights, "outcome": outcome})

    rows = app.get("/observations?source=api")["observations"]
    assert [(row["version"], row["said"]) for row in rows] == [
        (1, "walk"),
        (1, "stop"),
        (1, "stop"),
    ]
    version = app.get("/versions")["versions"][0]
    assert (version["asked"], version["right"]) == (3, 2)
    app.expect(200, "DELETE", f"/observations/{rows[1]['id']}")
    version = app.get("/versions")["versions"][0]
    assert (version["asked"], version["right"]) == (2, 2)


def test_filters_select_observations(app: App) -> None:
    app.expect(201, "POST", "/observations", {"lights": [0, 1, 0], "outcome": "stop"})
    newest = app.get("/observations?after=4")["observations"][0]

    def ids(query: str) -> list[int]:
        return [row["id"] for row in app.get(f"/observations?{query}")["observations"]]

    assert ids("outcome=walk") == [1, 2]
    assert ids("source=lab&outcome=stop") == [3, 4]
    assert ids("version=1") == [5]
    assert ids(f"since={newest['at'].replace('+', '%2B')}&source=api") in ([5], [])
    assert ids("since=2000-01-01T00:00:00Z") == [1, 2, 3, 4, 5]
    assert ids("since=2999-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "limit: expected a number of at least 1"),
        ("limit=1001", "limit: expected a number of at most 1000"),
        ("outcome=run", "outcome: expected 'walk' or 'stop', got \"run\""),
        ("since=yesterday", "since: "),
        ("since=2000-01-01T00:00:00", "since: "),
        (
            "since=0.5",
            "since: expected a time with its offset from UTC, such as 2000-01-01T00:00:00Z, got ",
        ),
        ("source=a%00b", "source: expected text without NUL characters, got "),
        ("format=xml", "format: expected 'json', 'jsonl' or 'csv'"),
    ],
)
def test_invalid_filters_are_refused(shared_app: App, query: str, message: str) -> None:
    error = shared_app.expect(400, "GET", f"/observations?{query}")["error"]
    assert error.startswith(message)


def test_pages_miss_and_repeat_no_row_during_concurrent_inserts(app: App) -> None:
    def post(client: int) -> list[int]:
        ids = []
        for i in range(25):
            body = {"lights": [client, i, 1], "outcome": "walk" if i % 2 else "stop"}
            ids.append(app.expect(201, "POST", "/observations", body)["results"][0]["id"])
        return ids

    with ThreadPoolExecutor(4) as clients:
        posted = [clients.submit(post, client) for client in range(4)]
        seen: list[int] = []
        while len(seen) < 104:
            after = seen[-1] if seen else 0
            page = app.get(f"/observations?after={after}&limit=7")["observations"]
            seen += [row["id"] for row in page]
        acknowledged = [number for future in posted for number in future.result()]

    assert seen == sorted(set(seen))
    assert set(acknowledged) == set(seen) - {1, 2, 3, 4}


def test_an_observation_has_an_address(app: App) -> None:
    duplicate = {"lights": [0, 1, 0], "outcome": "stop", "id": "mine"}
    added = app.request("POST", "/observations", duplicate)
    assert (added.status, added.headers["Location"]) == (201, "observations/5")

    rows = [duplicate, {"lights": [1, 1, 1], "outcome": "walk"}]
    both = app.request("POST", "/observations", {"observations": rows})
    assert both.headers["Location"] == "observations/6"
    assert "Location" not in app.request("POST", "/observations", duplicate).headers

    assert app.get("/observations/5") == app.get("/observations?after=4")["observations"][0]
    withdrawn = app.expect(200, "DELETE", "/observations/5")
    assert app.get("/observations/5") == withdrawn
    for missing in (7, 10**17):
        error = app.expect(404, "GET", f"/observations/{missing}")["error"]
        assert error == f"no observation {missing}"


def test_an_observation_can_be_withdrawn(app: App) -> None:
    first = app.expect(200, "DELETE", "/observations/2")
    again = app.expect(200, "DELETE", "/observations/2")

    assert first == again
    assert first["withdrawn"] is True
    page = app.get("/observations")
    assert page["total"] == 3
    assert [row["withdrawn"] for row in page["observations"]] == [False, True, False, False]
    assert app.expect(404, "DELETE", "/observations/99")["error"] == "no observation 99"


def test_exports_have_all_rows_and_can_be_imported(app: App, tmp_path: Path) -> None:
    app.expect(201, "POST", "/observations", {"lights": [0.1, 1e-7, 3], "outcome": "stop"})
    app.expect(200, "DELETE", "/observations/2")

    lines = app.request("GET", "/observations?format=jsonl").data.decode().splitlines()
    table = app.request("GET", "/observations?format=csv").data.decode()

    assert [json.loads(line)["id"] for line in lines] == [1, 2, 3, 4, 5]
    rows = list(csv.reader(io.StringIO(table)))
    assert rows[0] == ["light_0", "light_1", "light_2", "outcome"]
    assert len(rows) == 5
    (tmp_path / "again.csv").write_text(table)
    run = invoke("import", str(tmp_path / "again.csv"), data_dir=app.data_dir)
    assert run.stdout.endswith("4 observations added\n")
    assert app.get("/observations?after=8")["observations"][0]["lights"] == [0.1, 1e-7, 3]
    assert app.get("/observations?after=8")["observations"][0]["source"] == "again.csv"


def test_a_retry_with_the_same_key_gets_the_same_response(app: App) -> None:
    key = {"Idempotency-Key": "k1"}
    body = {"observations": [{"lights": [0, 1, 0], "outcome": "stop"}, {"lights": []}]}

    first = app.expect(207, "POST", "/observations", body, **key)
    again = app.expect(207, "POST", "/observations", body, **key)

    assert first == again
    assert app.get("/observations")["total"] == 5
    error = app.expect(409, "POST", "/observations", {"lights": [1]}, **key)["error"]
    assert error == 'Idempotency-Key: "k1" was used before with another body; use a new key'
    long = {"Idempotency-Key": "x" * 201}
    error = app.expect(400, "POST", "/observations", body, **long)["error"]
    assert error == "Idempotency-Key: expected at most 200 characters, got 201"


def test_at_most_ten_contradictions_are_listed(app: App) -> None:
    rows = [{"lights": [0, 1, 0], "outcome": "stop"}] * 20
    app.expect(201, "POST", "/observations", {"observations": rows})

    result = app.expect(201, "POST", "/observations", {"lights": [0, 1, 0], "outcome": "walk"})

    assert result["results"][0]["contradicts"] == list(range(5, 15))


def test_rows_times_weights_are_bounded(tmp_path: Path) -> None:
    with App(tmp_path, max_multiplications=1_000_000) as app:
        wide = ("--hidden-sizes", "64", "--iterations", "1", "--restarts", "0")
        app.train(*wide, "--target-error", "none")
        row = {"lights": [0, 1, 0], "outcome": "stop"}

        error = app.expect(413, "POST", "/observations", {"observations": [row] * 4000})["error"]
        assert error.startswith("the request needs 1024000 multiplications")
        table = "a,b,c,outcome\n" + "0,1,0,stop\n" * 4000
        app.expect(413, "POST", "/observations", table, **{"Content-Type": "text/csv"})
        assert app.get("/observations")["total"] == 4

        app.expect(201, "POST", "/observations", {"observations": [row] * 3900})


def test_importing_an_invalid_csv_adds_nothing(app: App, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b,c,outcome\n1,0,1,walk\n1,0,x,walk\n")

    run = invoke("import", str(tmp_path / "bad.csv"), data_dir=app.data_dir)

    assert run.returncode == 2
    assert 'line 3: c: expected a finite number, got "x"' in run.stderr
    (tmp_path / "two.csv").write_text("a,b,outcome\n1,0,walk\n")
    run = invoke("import", str(tmp_path / "two.csv"), data_dir=app.data_dir)
    assert run.returncode == 1
    assert "lights: expected 3 lights, as in the ledger, got 2" in run.stderr
    assert app.get("/observations")["total"] == 4


def test_a_repeated_import_adds_the_missing_rows(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "BATCH_SIZE", 2)
    file = tmp_path / "corner.csv"
    file.write_text("a,b,c,outcome\n" + "1,0,1,walk\n" * 7)
    recorded = 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal recorded
        results = ingest.record(*arguments, **options)
        recorded += len(results)
        if recorded == 4:
            raise OSError("interrupted")
        return results

    monkeypatch.setattr(retraining, "record", interrupted)
    assert invoke("import", str(file), data_dir=app.data_dir).returncode == 2
    assert app.get("/observations")["total"] == 4 + 4

    for message in (
        "3 observations added, 4 were in the ledger already\n",
        "0 observations added, 7 were in the ledger already\n",
    ):
        run = invoke("import", str(file), data_dir=app.data_dir)
        assert run.stdout.endswith(message)
        assert app.get("/observations")["total"] == 4 + 7

    file.write_text(file.read_text() + "1,0,1,walk\n")
    run = invoke("import", str(file), data_dir=app.data_dir)
    assert run.stdout.endswith("\n8 observations added\n")


def test_a_csv_can_be_posted(app: App) -> None:
    csv_type = {"Content-Type": "text/csv"}
    table = b'\xef\xbb\xbf"left, or so",middle,right,outcome\r\n0,1,0,stop\r\n\r\n1,0,1,Stop\r\n'

    result = app.expect(201, "POST", "/observations", table, **csv_type)

    assert (result["recorded"], result["contradicting"]) == (2, 1)
    assert result["results"][1] == {"verdict": "contradicts", "id": 6, "contradicts": [1]}
    assert app.get("/observations?after=4")["observations"][0]["lights"] == [0, 1, 0]

    for bad, message in (
        (b"", "line 1: expected a header of light names and then outcome, got []"),
        (
            b"a,b,c,outcome\n1,0,1,walk\n1,x,1,stop\n",
            'line 3: b: expected a finite number, got "x"',
        ),
        (b"a,b,c,outcome\n1,0,1\n", "line 2: expected 4 columns, got 3"),
        (b"a,b,c,outcome\n", "expected at least one observation, got none"),
        (b"a,b,c,outcome\n1,0,1,\xff\n", "'utf-8' codec can't decode byte 0xff"),
        (b"a," * 10_000 + b"outcome\n", "line 1: expected at most 10000 characters"),
        (b'a,b,c,outcome\n1,0,1,"walk\n', "unexpected end of data"),
        (b"a,b,c,outcome\n" + b"1,0,1,walk\n" * 10_001, "expected at most 10000 rows; "),
    ):
        error = app.expect(400, "POST", "/observations", bad, **csv_type)["error"]
        assert error.startswith(message)
        assert len(error) < 300
    assert app.get("/observations")["total"] == 6
