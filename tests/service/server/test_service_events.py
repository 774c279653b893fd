"""Tests of `GET /events`: what anybody changes reaches the clients of all workers."""

import json
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from streetlight.service.store.engine import open_engine, write_transaction
from streetlight.service.store.tables import jobs
from tests import databases
from tests.server import DEADLINE, streetlight
from tests.service.conftest import Site
from tests.service.server.follower import Follower

pytestmark = pytest.mark.process

STREAMS = 8
# A change is seen after up to 0.2 s; a machine that is busy with other tests takes longer.
MAX_SECONDS = 3.0
# Bytes of an event that a socket doesn't buffer.
LARGE = 4_000_000
ROW = {"lights": [1, 0, 0], "outcome": "walk"}


class Clients:
    """Clients of all workers: the kernel gives each connection to one of them."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self.followers = [stack.enter_context(Follower(site, "/events")) for _ in range(STREAMS)]
        self.newest: list[dict[str, Any]] = [{} for _ in self.followers]
        for follower in self.followers:
            assert follower.response.headers["Content-Type"].startswith("text/event-stream")

    def expect(self, **newest: Any) -> None:
        """Read until the newest data of each client includes `newest`; fail if that is late."""
        start = time.monotonic()
        for follower, state in zip(self.followers, self.newest, strict=True):
            while not state.items() >= newest.items():
                name, _, data = next(follower.events)
                state[name] = data
        seconds = time.monotonic() - start
        print(f"{newest} after {seconds:.2f} s")
        assert seconds < MAX_SECONDS


def test_what_anybody_changes_reaches_the_clients_of_all_workers(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, workers=2) as site, ExitStack() as stack:
        clients = Clients(site, stack)
        lab = {"total": 4, "withdrawn": 0, "latest": 4}
        clients.expect(live={"live": 1}, versions={"newest": 1, "count": 1}, observations=lab)

        site.expect(201, "POST", "/observations", ROW)
        clients.expect(observations={"total": 5, "withdrawn": 0, "latest": 5})
        site.expect(200, "DELETE", "/observations/2")
        withdrawn = {"total": 4, "withdrawn": 1, "latest": 5}
        clients.expect(observations=withdrawn)

        number = site.retrain(promote="always")
        clients.expect(jobs=site.job(number))
        site.trainer()
        job = site.wait_until_finished(number)
        assert job["state"] == "succeeded"
        clients.expect(jobs=job, live={"live": 2}, versions={"newest": 2, "count": 2})
        site.post("/rollback")
        clients.expect(live={"live": 1})
        settings = {"data_dir": tmp_path, "database_url": site.database}
        assert streetlight("promote", "2", **settings).returncode == 0
        clients.expect(live={"live": 2})
        site.post("/v2/repository/models/streetlight/unload")
        clients.expect(live={"live": None})
        if database_url is None:  # otherwise the host fetches the version again
            site.repository.path(1).unlink()
            clients.expect(versions={"newest": 2, "count": 1})

        again = Clients(site, stack)
        known = {kind: event for kind, event in clients.newest[0].items() if kind != "hosts"}
        again.expect(**known)
        site.process.terminate()
        for follower in (*clients.followers, *again.followers):
            list(follower.events)
        assert site.process.wait(DEADLINE) == 0


def test_streams_go_on_after_the_database_was_away(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, workers=2) as site, ExitStack() as stack:
        clients = Clients(site, stack)
        clients.expect(observations={"total": 4, "withdrawn": 0, "latest": 4})
        with databases.outage(site.database):
            live: dict[str, int | None] = {"live": 1}
            if database_url is None:  # otherwise the database has the live version
                site.post("/v2/repository/models/streetlight/unload")
                live = {"live": None}
            clients.expect(live=live)
            late = Clients(site, stack)
            late.expect(live=live, versions={"newest": 1, "count": 1})
        site.expect(201, "POST", "/observations", ROW)
        for each in (clients, late):
            each.expect(observations={"total": 5, "withdrawn": 0, "latest": 5})
        assert site.log.read_text().count("could not read what clients") <= 2


def test_a_client_that_does_not_read_is_sent_only_the_newest_state(tmp_path: Path) -> None:
    with Site(tmp_path, None) as site, ExitStack() as stack, socket.socket() as slow:
        slow.settimeout(DEADLINE)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", site.port))
        slow.sendall(b"GET /events HTTP/1.0\r\nHost: x\r\n\r\n")
        clients = Clients(site, stack)
        number, engine = site.retrain(), open_engine(site.database)
        large = {"error": "x" * LARGE, "revision": jobs.c.revision + 1}
        with write_transaction(engine) as connection:
            connection.execute(update(jobs).where(jobs.c.id == number).values(large))
        engine.dispose()
        clients.expect(jobs=site.job(number))
        for total in range(5, 10):
            site.expect(201, "POST", "/observations", ROW)
            newest = {"total": total, "withdrawn": 0, "latest": total}
            clients.expect(observations=newest)
        with slow.makefile("rb") as file:
            lines = iter(file)
            next(line for line in lines if line == b"retry: 1000\n")
            next(line for line in lines if len(line) > LARGE)
            observations = next(line for line in lines if line.startswith(b"data: "))
        assert json.loads(observations.removeprefix(b"data: ")) == newest


def test_the_client_of_a_stopping_worker_cannot_follow_it_again(tmp_path: Path) -> None:
    """Otherwise a browser asks the same worker again, and finds the next one a second later."""
    request = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    with Site(tmp_path, None) as site, socket.socket() as client:
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", site.port))
        client.sendall(request)
        with client.makefile("rb") as file:
            next(line for line in file if line.startswith(b"event: "))
            site.process.send_signal(signal.SIGHUP)
            next(line for line in file if line == b"0\r\n")
            client.sendall(request)
            assert file.read() == b"\r\n"
