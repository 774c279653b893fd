"""Each alert of deploy/prometheus fires when it should, by Prometheus' own test of rules."""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.service.web.test_auth import RIGHTS
from tests.test_deploy import DEPLOY, alerts, expressions

RULES = DEPLOY / "prometheus" / "alerts.yml"
DURATION = 'streetlight_request_duration_seconds_bucket{{route="{}",le="{}"}}'


@dataclass(frozen=True)
class Case:
    """Series in Prometheus' notation with which an alert fires after some minutes, and which don't.

    `1x9` is nine more samples of 1, a minute apart; `0+6x9` rises by 6 a minute.
    """

    minutes: int
    fires: dict[str, str]
    silent: list[dict[str, str]] = field(default_factory=list)


def requests(route: str, fast: int, slow: int) -> dict[str, str]:
    """Return the series of a route with so many requests a minute below and above 0.1 s."""
    return {
        DURATION.format(route, "0.1"): f"0+{fast}x60",
        DURATION.format(route, "0.5"): f"0+{fast + slow}x60",
        DURATION.format(route, "+Inf"): f"0+{fast + slow}x60",
    }


ACCURACY = "streetlight_live_recent_accuracy_high_ratio"
OBSERVATIONS = "streetlight_live_asked_observations"
FAILED_JOBS = 'streetlight_job_duration_seconds_count{state="failed"}'
OK, ERROR = (f'streetlight_requests_total{{route="/predict",status="{s}"}}' for s in (200, 503))
QUEUED, RUNNING = (f'streetlight_jobs{{state="{s}"}}' for s in ("queued", "running"))
OLDEST_QUEUED, OLDEST_RUNNING = (
    f'streetlight_oldest_job_age_seconds{{state="{s}"}}' for s in ("queued", "running")
)
LOST, WRITTEN = (
    f'streetlight_prediction_log_rows_total{{result="{r}"}}' for r in ("buffer_full", "written")
)
UNDELIVERED, DELIVERED = (
    f'streetlight_webhook_deliveries{{state="{s}"}}' for s in ("failed", "delivered")
)
BEHIND, CURRENT = (f'streetlight_hosts{{state="{s}"}}' for s in ("behind", "current"))
UP = 'up{job="streetlight"}'

CASES = {
    "StreetlightDown": Case(2, {UP: "0x60"}, [{UP: "1x60"}, {UP: "1x5 0 1x54"}]),
    "StreetlightNoLiveVersion": Case(
        1, {"streetlight_live_version": "0x60"}, [{"streetlight_live_version": "3x60"}]
    ),
    "StreetlightDatabaseDown": Case(
        5, {"streetlight_database_up": "0x60"}, [{"streetlight_database_up": "1x60"}]
    ),
    "StreetlightKeysFileInvalid": Case(
        1,
        {"streetlight_api_keys_file_valid": "0x60"},
        [{"streetlight_api_keys_file_valid": "1x60"}],
    ),
    "StreetlightHostBehind": Case(
        1, {BEHIND: "1x60", CURRENT: "2x60"}, [{BEHIND: "0x60", CURRENT: "3x60"}]
    ),
    "StreetlightHostDoesNotFollow": Case(
        3,
        {"streetlight_follower_age_seconds": "0+60x60"},
        [{"streetlight_follower_age_seconds": "2x60"}],
    ),
    "StreetlightErrors": Case(
        6, {OK: "0+97x60", ERROR: "0+3x60"}, [{OK: "0+997x60", ERROR: "0+3x60"}, {OK: "0+1x60"}]
    ),
    "StreetlightSlow": Case(
        11,
        # The requests of another route don't hide those of V2.
        requests("/v2/models/<model>/infer", 90, 10) | requests("/predict", 9000, 0),
        [
            requests("/v2/models/<model>/infer", 1000, 1),
            requests("/retrain", 0, 60),
            requests("/predict/batch", 0, 60),
        ],
    ),
    "StreetlightAccuracyFalls": Case(
        10,
        {ACCURACY: "0.7x60", OBSERVATIONS: "50x60"},
        [
            {ACCURACY: "0.9x60", OBSERVATIONS: "50x60"},
            {ACCURACY: "0.7x60", OBSERVATIONS: "9x60"},
        ],
    ),
    "StreetlightJobsFail": Case(
        2, {FAILED_JOBS: "0 0 1x58"}, [{FAILED_JOBS: "1x60"}, {RUNNING: "1x60"}]
    ),
    "StreetlightNoTrainer": Case(
        5,
        {QUEUED: "1x60", "streetlight_trainers": "0x60"},
        [
            {QUEUED: "1x60", "streetlight_trainers": "1x60"},
            {QUEUED: "0x60", "streetlight_trainers": "0x60"},
        ],
    ),
    "StreetlightJobsWait": Case(
        21,
        {OLDEST_QUEUED: "0+60x60", RUNNING: "0x60"},
        [{OLDEST_QUEUED: "0+60x60", RUNNING: "1x60"}, {OLDEST_QUEUED: "600x60", RUNNING: "0x60"}],
    ),
    "StreetlightJobStuck": Case(
        5, {OLDEST_RUNNING: "4000x60"}, [{OLDEST_RUNNING: "3000x60"}, {OLDEST_QUEUED: "4000x60"}]
    ),
    "StreetlightPredictionLogIncomplete": Case(
        2, {LOST: "0 0 5x58"}, [{LOST: "5x60"}, {WRITTEN: "0+100x60"}]
    ),
    "StreetlightWebhookWaits": Case(
        11,
        {"streetlight_webhook_waiting_seconds": "0+60x60"},
        [{"streetlight_webhook_waiting_seconds": "600x60"}],
    ),
    "StreetlightWebhookFails": Case(
        2, {UNDELIVERED: "0 0 1x58"}, [{UNDELIVERED: "2x30 1x30"}, {DELIVERED: "0+1x60"}]
    ),
}


def test_every_alert_has_a_case() -> None:
    assert CASES.keys() == {rule["alert"] for rule in alerts()}
    assert all(case.silent for case in CASES.values())


def test_the_latency_is_that_of_every_route_of_predictions() -> None:
    paths = {right: {route.partition(" ")[2] for route in RIGHTS[right]} for right in RIGHTS}
    predictions = paths["predict"] - {"/fit", "/pressure", "/step"}
    predictions.add("/v1/endpoints/7/deployedModels/9:predict")  # set by Vertex AI
    routes = predictions.union(*paths.values())
    filters = {
        pattern
        for expression in expressions()
        for pattern in re.findall(r'route=~"(.*?)"', expression)
    }
    assert len(filters) == 2
    for pattern in filters:
        # Prometheus matches the whole value.
        found = {route for route in routes if re.fullmatch(pattern, route)}
        assert predictions - {"/predict/batch"} <= found <= predictions


def promtool(*arguments: str | Path) -> None:
    run = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def rule_test(alert: str, series: dict[str, str], fires: int | None) -> dict[str, Any]:
    """Return a test in which the alert first fires after so many minutes, or not in an hour."""
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    counts = {fires - 1: 0, fires: 1} if fires else {60: 0}
    return {
        "interval": "1m",
        "input_series": [
            {
                "series": f'{name.rstrip("}")}{"," if "{" in name else "{"}instance="a"}}',
                "values": values,
            }
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"count(count_over_time({firing}[1h])) or vector(0)",
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for minute, count in counts.items()
        ],
    }


@pytest.mark.process
@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_after_its_time_and_is_silent_otherwise(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    tests = [rule_test(alert, case.fires, case.minutes)]
    tests += [rule_test(alert, series, None) for series in case.silent]
    file = tmp_path / "test.yml"  # JSON is YAML
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    promtool("test", "rules", file)
