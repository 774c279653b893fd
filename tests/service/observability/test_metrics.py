"""Tests of the metrics: totals over all workers, including workers that were killed."""

import os
import signal
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser
from scipy.stats import binomtest

from streetlight.service.observability import metrics, shared_counters
from tests.client import App
from tests.server import Server
from tests.service.conftest import Site, until
from tests.service.small_disk import SmallSite

pytestmark = pytest.mark.process

WALK, STOP = [1, 0, 1], [0, 0, 1]
CONNECTIONS = 8

# The requests of each connection: method, path, body, status, route, numbers of walk and stop.
TRAFFIC: list[tuple[str, str, Any, int, str, int, int]] = [
    ("POST", "/predict", {"lights": WALK}, 200, "/predict", 1, 0),
    ("POST", "/predict", {"lights": STOP}, 200, "/predict", 0, 1),
    ("GET", "/predict?lights=1,0,1", None, 200, "/predict", 1, 0),
    ("POST", "/predict/batch", {"lights": [WALK, STOP, STOP]}, 200, "/predict/batch", 1, 2),
    ("POST", "/explain", {"lights": STOP}, 200, "/explain", 0, 1),
    ("POST", "/predict", {"lights": [1]}, 400, "/predict", 0, 0),
    ("POST", "/explain", "{", 400, "/explain", 0, 0),
    ("GET", "/versions/1", None, 200, "/versions/<version:number>", 0, 0),
    ("GET", "/versions/2", None, 404, "/versions/<version:number>", 0, 0),
    ("GET", "/made/up", None, 404, "other", 0, 0),
    ("POST", "/livez", None, 405, "other", 0, 0),
    ("PROPFIND", "/made/up", None, 404, "other", 0, 0),
]
GOOD = sum(walk + stop > 0 for *_, walk, stop in TRAFFIC)
ROWS = sum(walk + stop for *_, walk, stop in TRAFFIC)


def send_all(server: Server) -> None:
    def send(_connection: int) -> None:
        with server.new_pool() as pool:
            for method, path, body, status, *_ in TRAFFIC:
                content = {"body": body} if isinstance(body, str) else {"json": body}
                response = pool.request(method, path, **(content if body else {}))
                assert response.status == status, response.data

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(send, range(CONNECTIONS)))


def scrape(server: Server) -> dict[str, float]:
    """Return the metrics, without the samples that a scrape changes."""
    with server.new_pool() as pool:
        response = pool.request("GET", "/metrics")
    assert response.status == 200, response.data
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name} {' '.join(sample.labels[name] for name in sorted(sample.labels))}": (
            sample.value
        )
        for family in parser.text_string_to_metric_families(response.data.decode())
        for sample in family.samples
        if sample.labels.get("route") not in ("/metrics", "/readyz")
    }


def check_sums(scraped: dict[str, float], rounds: int) -> None:
    repeats = rounds * CONNECTIONS
    expected: Counter[str] = Counter()
    for method, _, _, status, route, walk, stop in TRAFFIC:
        known = method if method != "PROPFIND" else "other"
        expected[f"streetlight_requests_total {known} {route} {status}"] += repeats
        expected[f"streetlight_request_duration_seconds_count {route}"] += repeats
        expected["streetlight_predictions_total walk 1"] += repeats * walk
        expected["streetlight_predictions_total stop 1"] += repeats * stop
    expected["streetlight_inference_requests_total success 1"] = repeats * GOOD
    expected["streetlight_inference_requests_total failure 1"] = repeats * 2
    counts = ("_requests_total", "_duration_seconds_count", "_predictions_total")
    assert expected == {
        name: value
        for name, value in scraped.items()
        if name.partition(" ")[0].endswith(counts) and "_job_" not in name
    }


@pytest.mark.parametrize("workers", [1, 4])
def test_metrics_are_summed_over_workers_and_killed_workers(workers: int, tmp_path: Path) -> None:
    with Site(tmp_path, None, workers=workers) as server:
        until(lambda: len(server.workers()) == workers)
        send_all(server)
        check_sums(scrape(server), 1)

        for rounds in (2, 3):
            before = server.workers()
            os.kill(before[-1], signal.SIGKILL)
            until(lambda old=before[-1]: old not in server.workers())  # type: ignore[misc]
            until(lambda: len(server.workers()) == workers)
            server.wait_until_ready()
            check_sums(scrape(server), rounds - 1)
            send_all(server)
            check_sums(scrape(server), rounds)

        # The kernel spreads 16 connections over the workers; each worker exports the same values.
        scrapes = [scrape(server) for _ in range(16)]
        assert all(scraped == scrapes[0] for scraped in scrapes)
        (statistics,) = server.get("/v2/models/stats")["model_stats"]

    check_statistics(statistics, scrapes[0])


def check_statistics(found: dict[str, Any], scraped: dict[str, float]) -> None:
    """Assert that the statistics of the V2 protocol equal the metrics, in other units."""
    stats = found["inference_stats"]
    phases = [stats[f"compute_{phase}"]["ns"] for phase in ("input", "infer", "output")]
    assert stats["success"]["count"] == found["execution_count"] == 3 * CONNECTIONS * GOOD
    assert found["inference_count"] == 3 * CONNECTIONS * ROWS
    assert stats["fail"]["count"] == 3 * CONNECTIONS * 2
    assert stats["success"]["ns"] == sum(phases)
    for phase, ns in zip(("input", "infer", "output"), phases, strict=True):
        assert ns == round(scraped[f"streetlight_inference_seconds_total {phase} 1"] * 1e9) > 0
    failed = scraped["streetlight_inference_failed_seconds_total 1"]
    assert stats["fail"]["ns"] == round(failed * 1e9) > 0
    last = scraped["streetlight_last_inference_timestamp_seconds 1"]
    assert found["last_inference"] == round(last * 1000)


def test_gauges_show_the_state_of_the_service(tmp_path: Path, database_url: str | None) -> None:
    with Site(tmp_path, database_url) as site:
        empty = scrape(site)
        assert empty["streetlight_live_version "] == 1
        assert empty["streetlight_observations "] == 4
        assert empty["streetlight_live_asked_observations "] == 0
        assert "streetlight_live_accuracy_ratio " not in empty

        for lights, outcome in (([0, 1, 0], "stop"), ([1, 1, 0], "stop"), ([1, 0, 0], "walk")):
            site.expect(201, "POST", "/observations", {"lights": lights, "outcome": outcome})
        decisions = [
            site.post("/predict", {"lights": [a, b, 0]})["decision"]
            for a, b in ((0, 1), (1, 1), (1, 0))
        ]
        correct = sum(map(str.__eq__, decisions, ("stop", "stop", "walk")))
        job = site.retrain(promote="never")
        queued = scrape(site)
        assert queued["streetlight_live_accuracy_ratio "] == correct / 3
        interval = binomtest(correct, 3).proportion_ci(method="wilson")
        assert queued["streetlight_live_recent_accuracy_ratio "] == correct / 3
        for end in ("low", "high"):
            found = queued[f"streetlight_live_recent_accuracy_{end}_ratio "]
            assert found == pytest.approx(getattr(interval, end), abs=1e-12)
        assert queued["streetlight_jobs queued"] == 1
        age = "streetlight_oldest_job_age_seconds queued"
        assert 0 <= queued[age] < 60
        until(lambda: scrape(site)[age] > queued[age])

        assert queued["streetlight_trainers "] == 0
        trainer = site.trainer()
        finished = site.wait_until_finished(job)
        done = scrape(site)
        assert done["streetlight_trainers "] == 1
        assert finished["state"] == "succeeded"
        assert (
            done["streetlight_jobs queued"]
            == done["streetlight_oldest_job_age_seconds queued"]
            == 0
        )
        assert done["streetlight_jobs succeeded"] == 1
        assert done["streetlight_job_duration_seconds_count succeeded"] == 1
        assert done["streetlight_job_duration_seconds_bucket 3600.0 succeeded"] == 1
        assert 0 < done["streetlight_job_duration_seconds_sum succeeded"] < 60

        site.expect(200, "DELETE", "/observations/1")
        assert scrape(site)["streetlight_observations "] == 6

        trainer.kill()
        other = site.trainer()
        until(lambda: other.has_logged("waits for jobs"))
        until(lambda: scrape(site)["streetlight_trainers "] == 1)  # the one that wasn't killed
        other.process.terminate()
        until(lambda: scrape(site)["streetlight_trainers "] == 0)


def test_metrics_are_exported_without_a_database(server: Server) -> None:
    assert scrape(server)["streetlight_database_up "] == 1
    with sqlite3.connect(server.data_dir / "streetlight.db") as connection:
        connection.execute("DROP TABLE jobs")
    connection.close()
    server.post("/predict", {"lights": WALK})

    scraped = scrape(server)

    assert scraped["streetlight_database_up "] == 0
    assert scraped["streetlight_predictions_total walk 1"] == 1
    assert scraped["streetlight_live_version "] == 1
    assert "streetlight_observations " not in scraped


def test_requests_are_counted_while_the_temporary_directory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    monkeypatch.setenv("TMPDIR", str(temporary))
    with SmallSite(tmp_path / "data", None, folder=temporary) as site:
        [worker] = site.workers()
        site.fill()
        send_all(site)
        check_sums(scrape(site), 1)
        assert site.workers() == [worker]


def test_a_prediction_succeeds_if_it_cannot_be_counted(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    for name in ("_counters", "_request_counter", "_inferences"):
        monkeypatch.setattr(metrics, name, fail)
    assert app.post("/predict", {"lights": WALK})["decision"] == "walk"
    assert app.expect(400, "POST", "/predict", {"lights": []})
    assert caplog.text.count("could not count a request in the metrics") == 4


def test_when_the_memory_is_full_only_new_counters_are_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_counters, "_memory", {})
    counters = shared_counters.SharedDict("counter_0.db")
    keys = [f"{number} {'x' * 10_000}" for number in range(500)]
    for _ in range(2):
        for key in keys:
            value, _ = counters.read_value(key)  # type: ignore[no-untyped-call]
            counters.write_value(key, value + 1, 0.0)  # type: ignore[no-untyped-call]
    kept = [
        (key, value)
        for key, value, *_ in shared_counters.SharedDict.read_all_values_from_file("counter_0.db")
    ]
    assert 400 < len(kept) < 430
    assert [(key.strip(), value) for key, value in kept] == [(key, 2) for key in keys[: len(kept)]]
    assert caplog.text.count("the memory for metrics is full") == len(keys) - len(kept)
    # A process that replaces another one continues.
    again = shared_counters.SharedDict("counter_0.db")
    assert again.read_value(kept[0][0])[0] == 2  # type: ignore[no-untyped-call]


def test_openmetrics_is_returned_on_request(shared_server: Server) -> None:
    response = shared_server.request("GET", "/metrics", Accept="application/openmetrics-text")

    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.data.endswith(b"# EOF\n")
