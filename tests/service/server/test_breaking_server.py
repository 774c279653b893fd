"""A server told to end under load, and followers of jobs, few and too many."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import urllib3

from streetlight.service.learning import queue
from streetlight.service.ledger import queries
from streetlight.service.ledger.queries import Filter
from streetlight.service.store.engine import open_engine
from tests.server import DEADLINE, STREETLIGHT, environment, free_port
from tests.service.conftest import ENDLESS, Site, until

pytestmark = pytest.mark.storm

ROW = b'{"lights": [1, 0, 0], "outcome": "walk"}'


class Follower:
    """One who reads a job's events, as they come."""

    def __init__(self, site: Site, number: int, seen: str = "") -> None:
        self.connection = HTTPConnection("127.0.0.1", site.port, timeout=DEADLINE)
        headers = {"Last-Event-ID": seen} if seen else {}
        self.connection.request("GET", f"/jobs/{number}/events", headers=headers)
        self.events = self._events()

    @cached_property
    def response(self) -> HTTPResponse:
        """The answer, which comes with the first event."""
        return self.connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self.response.close()
        self.connection.close()

    def _events(self) -> Iterator[tuple[str, str, Any]]:
        fields: dict[str, str] = {}
        for line in self.response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
                fields = {}


def followed(site: Site, number: int, seen: str = "") -> Follower:
    """Follow a job; one who followed before has left its place a moment after the end."""

    def accepted() -> Follower | None:
        follower = Follower(site, number, seen)
        if follower.response.status == 200:
            return follower
        follower.connection.close()
        return None

    return until(accepted)


def still_there(session: int) -> list[int]:
    """The processes of a session that are not over."""
    found = []
    for path in Path("/proc").glob("[1-9]*/stat"):
        try:
            state, _, _, of_session = path.read_text().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def post_until_refused(site: Site) -> list[int]:
    """Post observations, each on a connection of its own; return the ids acknowledged."""
    ids: list[int] = []
    while True:
        try:
            response = site.request("POST", "/observations", ROW, Connection="close")
        except urllib3.exceptions.HTTPError:
            return ids
        assert response.status == 201, response.data
        ids.append(response.json()["results"][0]["id"])


def test_a_server_told_to_end_answers_what_is_under_way_and_takes_its_trainer_along(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, trainer=True) as site:
        number = site.retrain(**ENDLESS)
        site.under_way(number)
        session = site.process.pid
        assert len(still_there(session)) == 4  # gunicorn, its worker, the trainer, its keeper
        clients = [socket.create_connection(("127.0.0.1", site.port), DEADLINE) for _ in range(6)]
        head = f"POST /observations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ROW)}\r\n\r\n"
        with ThreadPoolExecutor(4) as pool:
            load = [pool.submit(post_until_refused, site) for _ in range(4)]
            for client in clients:
                client.sendall(head.encode() + ROW[:5])
            # An answer on another connection shows that those before have been taken up.
            site.get("/livez")
            site.process.send_signal(signal.SIGTERM)
            for client in clients:
                client.sendall(ROW[5:])
            answers = [client.recv(65536) for client in clients]
            told = [id_ for client in load for id_ in client.result()]
        for client in clients:
            client.close()
        assert site.process.wait(DEADLINE) == 0
        assert all(answer.startswith(b"HTTP/1.1 201 ") for answer in answers), answers
        until(lambda: not still_there(session))

    engine = open_engine(site.database)
    job = queue.get(engine, number)
    pages = queries.stream(engine, Filter(source="api"))
    ids = [row.id for rows in pages for row in rows]
    engine.dispose()
    assert (job.state, job.attempt) == ("queued", 0)
    assert set(told) <= set(ids)
    assert len(ids) >= len(told) + len(clients)


def test_a_server_told_to_end_does_not_wait_for_the_end_of_a_job_that_is_followed(
    tmp_path: Path,
) -> None:
    with Site(tmp_path, None) as site, Follower(site, site.retrain()) as follower:
        next(follower.events)
        site.process.terminate()
        # Who doesn't end by itself is killed by gunicorn, after 30 s.
        assert site.process.wait(25) == 0


def test_a_server_killed_as_it_starts_takes_its_trainer_along(tmp_path: Path) -> None:
    with subprocess.Popen(
        [STREETLIGHT, "serve"],
        env=environment(data_dir=tmp_path, port=free_port()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        until(lambda: len(still_there(process.pid)) > 1)
        process.kill()
    try:
        until(lambda: not still_there(process.pid))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_job_can_be_followed_to_its_end_and_again_from_any_worker(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, workers=4, job_lease=60) as site:
        number = site.retrain()
        followers = [Follower(site, number) for _ in range(6)]
        firsts = [next(follower.events) for follower in followers]
        assert {first[0] for first in firsts} == {"job"}
        assert {first[2]["state"] for first in firsts} == {"queued"}

        # The job can't end before each follower has been told that it runs.
        with site.repository.lock("promote"):
            trainer = site.trainer()
            running = [
                next(event for event in follower.events if event[2]["state"] == "running")
                for follower in followers
            ]
        done = site.ended(number)
        trainer.kill()
        for follower, first in zip(followers, running, strict=True):
            with follower:
                *told, (last, _, at_end), end = follower.events
            assert (last, at_end) == ("job", done)
            assert end == ("end", "", {})
            revisions = [int(id_) for _, id_, _ in (first, *told)]
            assert revisions == sorted(set(revisions))

        waiting = site.retrain()
        with followed(site, waiting) as follower:
            _, seen, _ = next(follower.events)
        with followed(site, waiting, seen) as again:
            cancelled = site.expect(200, "DELETE", f"/jobs/{waiting}")
            (event, newer, at_end), end = again.events
        assert (event, at_end, end[0]) == ("job", cancelled, "end")
        assert int(newer) > int(seen)
        with followed(site, waiting, newer) as late:
            assert [event for event, _, _ in late.events] == ["end"]


def test_too_many_followers_are_refused_and_predictions_go_on(tmp_path: Path) -> None:
    with Site(tmp_path, None) as site:
        number = site.retrain()
        followers = [Follower(site, number) for _ in range(6)]
        for follower in followers:
            assert next(follower.events)[0] == "job"
        with Follower(site, number) as refused:
            assert refused.response.status == 503
            assert refused.response.headers["Retry-After"] == "5"
            message = json.loads(refused.response.read())["error"]
        assert message == (
            f"this worker has reached its limit of 6 event streams; poll GET /jobs/{number} instead"
        )
        for _ in range(20):
            assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1

        site.expect(200, "DELETE", f"/jobs/{number}")
        for follower in followers:
            with follower:
                assert [event for event, _, _ in follower.events] == ["job", "end"]
        with followed(site, number):
            pass
