"""Tests of stopping a server under load, and of event streams."""

import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3

from streetlight.service.learning import queue
from streetlight.service.ledger import queries
from streetlight.service.ledger.queries import Filter
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import open_engine
from tests.server import DEADLINE, STREETLIGHT, environment, free_port
from tests.service.conftest import ENDLESS, Site, until
from tests.service.server.follower import Follower
from tests.service.server.processes import running_processes

pytestmark = [pytest.mark.process, pytest.mark.storm]

ROW = b'{"lights": [1, 0, 0], "outcome": "walk"}'


def follow(site: Site, number: int, last_event_id: str = "") -> Follower:
    """Follow a job; retry while the worker still counts a stream that has just ended."""

    def accepted() -> Follower | None:
        follower = Follower(site, f"/jobs/{number}/events", last_event_id)
        if follower.response.status == 200:
            return follower
        follower.connection.close()
        return None

    return until(accepted)


def post_until_refused(site: Site) -> list[int]:
    """Post observations on new connections until one is refused; return the acknowledged ids."""
    ids: list[int] = []
    while True:
        try:
            response = site.request("POST", "/observations", ROW, Connection="close")
        except urllib3.exceptions.HTTPError:
            return ids
        assert response.status == 201, response.data
        ids.append(response.json()["results"][0]["id"])


def test_a_stopping_server_answers_open_requests_and_stops_its_trainer(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, trainer=True) as site:
        number = site.retrain(**ENDLESS)
        site.wait_for_progress(number)
        session = site.process.pid
        # gunicorn, its worker, the trainer, and a follower if hosts share the database
        assert len(running_processes(session)) == (4 if database_url else 3)
        clients = [socket.create_connection(("127.0.0.1", site.port), DEADLINE) for _ in range(6)]
        head = f"POST /observations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ROW)}\r\n\r\n"
        with ThreadPoolExecutor(4) as pool:
            load = [pool.submit(post_until_refused, site) for _ in range(4)]
            for client in clients:
                client.sendall(head.encode() + ROW[:5])
            # A response on another connection shows that the worker has read the earlier ones.
            site.get("/livez")
            site.process.send_signal(signal.SIGTERM)
            for client in clients:
                client.sendall(ROW[5:])
            responses = [client.recv(65536) for client in clients]
            acknowledged = [id_ for client in load for id_ in client.result()]
        for client in clients:
            client.close()
        assert site.process.wait(DEADLINE) == 0
        assert all(response.startswith(b"HTTP/1.1 201 ") for response in responses), responses
        until(lambda: not running_processes(session))

    engine = open_engine(site.database)
    job = queue.get(engine, number)
    pages = queries.stream(engine, Filter(source="api"))
    ids = [row.id for rows in pages for row in rows]
    engine.dispose()
    assert (job.state, job.attempt) == ("queued", 0)
    assert set(acknowledged) <= set(ids)
    assert len(ids) >= len(acknowledged) + len(clients)


def test_a_stopping_server_ends_open_event_streams(
    tmp_path: Path,
) -> None:
    with (
        Site(tmp_path, None) as site,
        Follower(site, f"/jobs/{site.retrain()}/events") as follower,
        Follower(site, "/events") as other,
    ):
        next(follower.events)
        next(other.events)
        site.process.terminate()
        # gunicorn kills a worker that hasn't stopped after 30 s.
        assert site.process.wait(25) == 0


def test_a_server_killed_during_its_start_leaves_no_trainer(tmp_path: Path) -> None:
    with subprocess.Popen(
        [STREETLIGHT, "serve"],
        env=environment(data_dir=tmp_path, port=free_port()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        until(lambda: len(running_processes(process.pid)) > 1)
        process.kill()
    try:
        until(lambda: not running_processes(process.pid))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_job_can_be_followed_and_the_stream_resumed_from_any_worker(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, workers=4, job_lease=60) as site:
        number = site.retrain()
        followers = [Follower(site, f"/jobs/{number}/events") for _ in range(6)]
        firsts = [next(follower.events) for follower in followers]
        assert {first[0] for first in firsts} == {"job"}
        assert {first[2]["state"] for first in firsts} == {"queued"}

        # The lock keeps the job from ending before each follower has received its state running.
        repository = site.repository
        with (
            repository.transaction()
            if isinstance(repository, SharedRepository)
            else repository.lock("promote")
        ):
            trainer = site.trainer()
            running = [
                next(event for event in follower.events if event[2]["state"] == "running")
                for follower in followers
            ]
        done = site.wait_until_finished(number)
        trainer.kill()
        for follower, first in zip(followers, running, strict=True):
            with follower:
                *updates, (last, _, at_end), end = follower.events
            assert (last, at_end) == ("job", done)
            assert end == ("end", "", {})
            revisions = [int(id_) for _, id_, _ in (first, *updates)]
            assert revisions == sorted(set(revisions))

        queued = site.retrain()
        with follow(site, queued) as follower:
            _, last_event_id, _ = next(follower.events)
        with follow(site, queued, last_event_id) as again:
            cancelled = site.expect(200, "DELETE", f"/jobs/{queued}")
            (event, newer, at_end), end = again.events
        assert (event, at_end, end[0]) == ("job", cancelled, "end")
        assert int(newer) > int(last_event_id)
        for last_event_id, expected in ((newer, ["end"]), ("9" * 5000, ["job", "end"])):
            with follow(site, queued, last_event_id) as late:
                assert [event for event, _, _ in late.events] == expected
