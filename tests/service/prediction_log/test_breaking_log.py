"""Killed workers and a full disk: predictions continue, and what was logged stays readable."""

import os
import signal
import time
from pathlib import Path

import pytest
import urllib3

from tests.conftest import STORM
from tests.service.conftest import Site, until
from tests.service.small_disk import SmallSite

pytestmark = [pytest.mark.process, pytest.mark.storm]

KILLS = 5 if STORM else 2
BATCH = {"lights": [[1, 0, 1]] * 20}


def logged_ids(site: Site) -> list[tuple[str, int]]:
    """Return the request id and the row of each logged prediction."""
    found = []
    after: int | None = 0
    while after is not None:
        page = site.get(f"/predictions?limit=1000&after={after}")
        found += [(row["request_id"], row["row"]) for row in page["predictions"]]
        after = page["next"]
    return found


def counts(site: Site) -> dict[str, int]:
    name = "streetlight_prediction_log_rows_total"
    lines = site.request("GET", "/metrics").data.decode().splitlines()
    counted = [line.partition('result="')[2].split('"} ') for line in lines if name + "{" in line]
    return {result: int(float(value)) for result, value in counted if float(value)}


def test_a_killed_worker_loses_its_last_second_only(
    tmp_path: Path, database_url: str | None
) -> None:
    sent: dict[str, float] = {}
    killed: list[float] = []
    with Site(tmp_path, database_url, prediction_log=True, workers=1) as site:
        for _ in range(KILLS):
            end = time.monotonic() + 1
            while time.monotonic() < end:
                response = site.request("POST", "/predict/batch", BATCH)
                sent[response.headers["X-Request-ID"]] = time.monotonic()
            [worker] = site.workers()
            os.kill(worker, signal.SIGKILL)
            killed.append(time.monotonic())

            def answers(dead: int = worker) -> bool:
                try:
                    site.request("POST", "/predict/batch", BATCH)
                except urllib3.exceptions.HTTPError:
                    return False
                return site.workers() != [dead]

            until(answers)
        last = site.request("POST", "/predict/batch", BATCH).headers["X-Request-ID"]
        until(lambda: (last, 19) in logged_ids(site))
        found = logged_ids(site)

    assert len(set(found)) == len(found)
    requests = {request_id for request_id, _ in found}
    assert len(found) == 20 * len(requests), "a request is logged as a whole"
    lost = [at for request_id, at in sent.items() if request_id not in requests]
    # Half a second between two writes, and the write.
    assert all(any(kill - 1.5 < at <= kill for kill in killed) for at in lost)
    assert len(lost) < len(sent)


def test_a_full_disk_delays_no_prediction_and_is_counted(tmp_path: Path) -> None:
    with SmallSite(tmp_path, None, prediction_log=True) as site:
        site.post("/predict/batch", BATCH)
        until(lambda: counts(site) == {"written": 20})
        workers = site.workers()
        site.fill()

        began = time.monotonic()
        for _ in range(200):
            site.post("/predict/batch", BATCH)
        assert time.monotonic() - began < 20
        assert len(logged_ids(site)) < 20 * 201
        site.filler.unlink()
        until(lambda: len(logged_ids(site)) == 20 * 201)

        assert counts(site) == {"written": 20 * 201}
        assert site.workers() == workers
