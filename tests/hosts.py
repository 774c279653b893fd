"""The service on the hosts of a network: PostgreSQL on one, a server or a trainer on each other.

`network` has the hosts, and loses their packets.
"""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, make_url

from tests.databases import Cluster
from tests.network import Host, Network
from tests.server import DEADLINE, Fork, Process, Server, environment
from tests.service.conftest import Site, Trainer

PORT = 5432
# Sets the clock of a process forward. The times that it gives to files are by that clock, too.
CLOCK = """
import os, time
actual, utime = time.time, os.utime
time.time = lambda: actual() + {seconds}
def by_clock(path, times=None, **options):
    now = time.time()
    utime(path, times if times or options else (now, now), **options)
os.utime = by_clock
"""
COMMAND = "from streetlight.service.cli import main\nmain()"


class DatabaseHost(Cluster):
    """PostgreSQL on a host of its own."""

    def __init__(self, host: Host) -> None:
        super().__init__(PORT)
        self.host = host
        self.url = make_url(self.url).set(host=host.address).render_as_string()
        self._options = f"-h {host.address} -p {PORT} -F"

    def start(self) -> None:
        """Start the server, which lets all hosts of the network in."""
        rules = self._folder / "hba"
        rules.write_text("local all all trust\nhost all,replication all samenet trust\n")
        self._options += f" -c hba_file={rules}"
        with self.host.entered():
            super().start()

    def kill(self) -> None:
        """End all its processes, unless that was done."""
        if Path(f"/proc/{self._main}").exists():
            super().kill()

    @property
    def pid(self) -> int:
        """The main process."""
        return self._main

    def query(self, statement: str) -> list[list[str]]:
        """Return the rows of a query, from a connection of the database's own host."""
        address = ("-h", self.host.address, "-U", "postgres")
        run = self.host.run("psql", *address, "-qAtc", statement)
        assert run.returncode == 0, run.stderr
        return [line.split("|") for line in run.stdout.splitlines()]


class Standby(DatabaseHost):
    """A copy of `primary`, which follows it asynchronously until it is promoted."""

    def __init__(self, host: Host, primary: DatabaseHost) -> None:
        super().__init__(host)
        self._primary = primary

    def _run(self, program: str, *arguments: str) -> None:
        if program == "initdb":
            source = (f"--host={self._primary.host.address}", "--username=postgres")
            options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
            program, arguments = "pg_basebackup", (*source, *options)
        with self.host.entered():
            super()._run(program, *arguments)

    def promote(self) -> None:
        """Let it accept writes."""
        self._run("pg_ctl", "promote", "--silent", "--wait")


def either(*databases: DatabaseHost) -> str:
    """Return the URL of the one of these databases that accepts writes."""
    hosts = [f"{database.host.address}:{PORT}" for database in databases]
    query = {"host": hosts, "target_session_attrs": "read-write"}
    url = URL.create("postgresql+psycopg", "postgres", database="postgres", query=query)
    return url.render_as_string()


class ServiceHost(Site):
    """A server on a host of its own, with its own data directory, and the trainers beside it.

    Args:
        clock: how many seconds the clock of the host is fast.
    """

    def __init__(
        self, host: Host, data_dir: Path, database: str, *, clock: int = 0, **settings: object
    ) -> None:
        super().__init__(data_dir, database, host=host.address, **settings)
        self.url = f"http://{host.address}:{self.port}"
        self.host = host
        self._clock = CLOCK.format(seconds=clock) if clock else ""
        if clock:
            self.command = (sys.executable, "-c", self._clock + COMMAND, "serve")

    def start(self) -> Process:
        """Start the server."""
        if not self._clock:
            become = partial(self.host.become, self.data_dir.name)
            return Fork(self.command[1:], environment(**self.settings), self.log, become)
        with self.host.entered():
            return Server.start(self)

    def trainer(self, first: str = "") -> Trainer:
        """Start a trainer."""
        with self.host.entered():
            return super().trainer(self._clock + first)

    def kill(self) -> None:
        """Kill all processes of the host."""
        self.host.kill()
        self.process.wait(DEADLINE)

    def restart(self, *, empty: bool = False) -> None:
        """Start the server again, without its folder if `empty`, and wait until it is ready."""
        if empty:
            clear(self.data_dir)
        self.process = self.start()
        self.wait_until_ready()


class TrainerHost:
    """A trainer on a host of its own, with its own data directory, from `with` to its end."""

    def __init__(self, host: Host, data_dir: Path, database: str) -> None:
        self.data_dir = data_dir
        self.host = host
        self._settings: dict[str, Any] = {
            "data_dir": data_dir,
            "database_url": database,
            "job_lease": 1,
        }

    def __enter__(self) -> Self:
        self.data_dir.mkdir(exist_ok=True)
        self.restart()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill all processes of the host."""
        self.host.kill()
        self._trainer.kill()

    def restart(self, *, empty: bool = False) -> None:
        """Start the trainer again, without its folder if `empty`."""
        if empty:
            clear(self.data_dir)
        with self.host.entered():
            self._trainer = Trainer(self.data_dir / "trainer.log", **self._settings)


def clear(folder: Path) -> None:
    """Remove all files of a folder."""
    shutil.rmtree(folder)
    folder.mkdir()


class Installation:
    """PostgreSQL, servers and trainers, each on a host of one network.

    Attributes:
        network: the network.
        database: PostgreSQL.
        standby: a copy of it, if wanted; the servers then use the one that accepts writes.
        sites: the servers.
        trainers: the trainers.
    """

    standby: Standby

    def __init__(
        self,
        folder: Path,
        servers: int = 3,
        *,
        trainers: int = 0,
        standby: bool = False,
        **settings: Any,
    ) -> None:
        self._folder, self._servers, self._settings = folder, servers, settings
        self._trainers, self._with_standby = trainers, standby

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            self._stack = stack
            self.network = stack.enter_context(Network())
            self.database = stack.enter_context(DatabaseHost(self.network.host()))
            self._url = self.database.url
            if self._with_standby:
                standby = Standby(self.network.host(), self.database)
                self.standby = stack.enter_context(standby)
                self._url = either(self.database, self.standby)
            self.sites: list[ServiceHost] = []
            self.start(*(self.host() for _ in range(self._servers)))
            self.trainers = [
                stack.enter_context(
                    TrainerHost(self.network.host(), self._folder / f"trainer-{i}", self._url)
                )
                for i in range(self._trainers)
            ]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def host(self, **settings: Any) -> ServiceHost:
        """Add a host, whose server isn't started yet."""
        folder = self._folder / f"host-{len(self.sites) + 1}"
        self.sites.append(
            ServiceHost(self.network.host(), folder, self._url, **self._settings | settings)
        )
        return self.sites[-1]

    def start(self, *sites: ServiceHost) -> None:
        """Start servers at the same time, and wait until all are ready."""
        with ThreadPoolExecutor(len(sites)) as pool:
            list(pool.map(self._stack.enter_context, sites))
