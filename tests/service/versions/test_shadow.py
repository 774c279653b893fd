"""Tests of versions that are compared with the logged predictions."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from streetlight.service.inference.limits import Cost
from streetlight.service.prediction_log import traffic
from streetlight.service.versions import shadow
from streetlight.service.versions.shadow import Shadow, compare_with_log
from tests.client import App
from tests.service.conftest import Site, until
from tests.service.prediction_log.predictions import log_predictions
from tests.service.services import services_in, version

# It decides walk if the first light is on.
FIRST_LIGHT = version(9, 1, 0)


@pytest.fixture
def log(tmp_path: Path, database_url: str | None) -> Iterator[Engine]:
    """An engine on an empty prediction log."""
    with services_in(tmp_path, database_url, prediction_log=True) as services:
        yield services.require_prediction_log()
        services.require_prediction_log().dispose()


def logged(lights: list[float], decision: int, at: float, version: int) -> dict[str, Any]:
    return {"lights": lights, "decision": decision, "at": at, "version": version}


def test_decisions_that_would_change_are_weighted_by_how_often_they_were_asked(
    log: Engine,
) -> None:
    log_predictions(
        log,
        *[logged([0, 1], 1, at, 2) for at in (5, 3)],
        logged([0, 1], 1, 4, 1),
        logged([0, 1], 0, 9, 3),
        logged([1, 1], 0, 6, 3),
        *[logged([1, 0], 1, 2, 1)] * 4,
        logged([1, 0, 1], 1, 7, 1),
        logged([1e308, -1e308], 1, 8, 1),
    )

    result = compare_with_log(log, FIRST_LIGHT, 0.0)

    assert result.incomparable == 1
    overflowing = version(9, 1e10, 0)
    assert compare_with_log(log, overflowing, 0.0).incomparable == 2
    assert (result.predictions, result.patterns) == (10, 4)
    assert (result.changed, result.changed_patterns, result.share) == (4, 2, 0.4)
    assert (result.first_at, result.last_at, result.complete) == (2, 9, True)
    [most, least] = result.changes
    assert (most.lights, most.was, most.now) == ([0, 1], "walk", "stop")
    assert (most.predictions, most.last_at, most.versions) == (3, 5, [1, 2])
    assert (least.lights, least.was, least.now) == ([1, 1], "stop", "walk")
    assert (least.predictions, least.last_at, least.versions) == (1, 6, [3])


def test_the_result_is_that_of_a_comparison_row_by_row(
    log: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states are read in blocks, and cut after the newest."""
    monkeypatch.setattr(shadow, "MAX_BLOCK", 7)
    monkeypatch.setattr(shadow, "MAX_CHANGES", 10)
    monkeypatch.setattr(traffic, "MAX_PREDICTIONS", 900)
    draws = np.random.default_rng(0).integers(0, [4, 9, 2], (1000, 3)).tolist()
    rows = [
        logged([first / 3, second], said, at, 1 + at % 3)
        for at, (first, second, said) in enumerate(draws)
    ]
    log_predictions(log, *rows)
    costs: list[Cost] = []

    for since, expected in ((0.0, rows[-900:]), (600.0, rows[600:])):
        result = compare_with_log(log, FIRST_LIGHT, since, costs.append)
        changed = Counter(
            (tuple(row["lights"]), row["decision"])
            for row in expected
            if row["decision"] != (row["lights"][0] >= 0.5)
        )
        assert result.predictions == len(expected)
        assert result.patterns == len({tuple(row["lights"]) for row in expected})
        assert (result.changed, result.changed_patterns) == (changed.total(), len(changed))
        assert [change.predictions for change in result.changes] == sorted(
            changed.values(), reverse=True
        )[:10]
        for change in result.changes:
            was = int(change.was == "walk")
            assert changed[tuple(change.lights), was] == change.predictions
        assert (result.first_at, result.last_at) == (expected[0]["at"], expected[-1]["at"])
        assert result.complete == (since > 0)
    assert costs[0] == Cost(901 * shadow.PREDICTION_MULTIPLICATIONS)
    assert Cost(72 * FIRST_LIGHT.network.weight_count) in costs  # of both decisions of 36 states


def test_nothing_is_compared_with_an_empty_log(log: Engine) -> None:
    assert compare_with_log(log, FIRST_LIGHT, 0.0) == Shadow(9)


def test_a_server_without_a_log_says_so(shared_app: App) -> None:
    error = shared_app.expect(409, "POST", "/versions/1/shadow")["error"]
    assert "STREETLIGHT_PREDICTION_LOG=true" in error
    assert shared_app.expect(404, "POST", "/versions/9/shadow")["error"].startswith("no version 9")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "since=5",
            "since: expected a time with its offset from UTC, such as 2000-01-01T00:00:00Z, got ",
        ),
        ("until=2000-01-01T00:00:00Z", "until: unknown parameter; expected since"),
    ],
)
def test_an_invalid_query_is_refused(shared_app: App, query: str, message: str) -> None:
    error = shared_app.expect(400, "POST", f"/versions/1/shadow?{query}")["error"]
    assert error.startswith(message)


@pytest.mark.process
def test_a_candidate_is_compared_with_what_people_asked(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, prediction_log=True) as site:
        for lights in ([1, 0, 1], [0, 0, 1], [1, 0, 1]):
            site.post("/predict", {"lights": lights})
        table = tmp_path / "corner.csv"
        table.write_text("a,b,c,outcome\n1,0,1,stop\n0,0,1,stop\n0,1,1,walk\n")
        site.train("--dataset", str(table), "--no-promote", "--iterations", "500")
        path = "/versions/2/shadow"

        result = until(lambda: (r := site.post(path))["predictions"] == 3 and r)

        assert (result["version"], result["patterns"], result["changed"]) == (2, 2, 2)
        assert result["share"] == 2 / 3
        [change] = result["changes"]
        assert change["last_at"] == result["last_at"] > result["first_at"]
        del change["last_at"]
        assert change == {
            "lights": [1.0, 0.0, 1.0],
            "was": "walk",
            "now": "stop",
            "predictions": 2,
            "versions": [1],
        }
        assert site.post("/versions/1/shadow")["changed"] == 0
        later = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        assert site.post(f"{path}?since={later}")["predictions"] == 0
