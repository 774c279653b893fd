"""Temporary databases for tests: SQLite, and PostgreSQL if the environment names a server."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, create_engine, make_url, text

VARIABLE = "STREETLIGHT_TEST_POSTGRESQL"
POSTGRESQL = os.environ.get(VARIABLE)
KINDS = ["sqlite", "postgresql"] if POSTGRESQL else ["sqlite"]
LEFT_OUT = f"not testing PostgreSQL; to add it, set {VARIABLE}=postgresql+psycopg://user@host:port/postgres"


@contextmanager
def fresh(kind: str) -> Iterator[str | None]:
    """Yield the URL of an empty database; `None` means the default SQLite file."""
    if kind == "sqlite":
        yield None
        return
    assert POSTGRESQL
    name = f"streetlight_test_{uuid.uuid4().hex}"
    _administer(f"CREATE DATABASE {name}")
    try:
        yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def outage(url: str) -> Iterator[None]:
    """Let writes to SQLite wait for a lock, and end and refuse all connections to PostgreSQL."""
    database = make_url(url).database
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(str(database), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
        return
    _administer(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    try:
        with _administration() as connection:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(query), {"name": database})
        yield
    finally:
        _administer(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")


def _administer(statement: str) -> None:
    with _administration() as connection:
        connection.execute(text(statement))


@contextmanager
def _administration() -> Iterator[Connection]:
    assert POSTGRESQL
    engine = create_engine(POSTGRESQL, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


class Cluster:
    """A PostgreSQL server of its own, from `with` to the end of its block, for tests that break it.

    Attributes:
        url: the URL of an empty database.
        conninfo: the same for psycopg.
    """

    def __init__(self, port: int) -> None:
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        self.conninfo = self.url.replace("+psycopg", "")
        self._options = f"-h 127.0.0.1 -p {port} -F"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="streetlight-test-"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        initial = (
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        self._run("initdb", *initial)
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, which recovers what a killed one has committed."""
        options = f"{self._options} -k {self._folder}"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "--silent", "--wait", f"--log={log}", f"--options={options}")
        self._main = int((self._folder / "data/postmaster.pid").read_text().split()[0])

    def stop(self) -> None:
        """End the transactions and connections, and then the server."""
        self._run("pg_ctl", "stop", "--silent", "--wait", "--mode=fast")

    def kill(self) -> None:
        """End all its processes, as a failure does: transactions are cut off."""
        self.send(signal.SIGCONT)
        os.kill(self._main, signal.SIGQUIT)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{self._main}").exists():
            assert time.monotonic() < deadline, "PostgreSQL doesn't end"
            time.sleep(0.01)

    def send(self, sig: int) -> None:
        """Send a signal to each of its processes."""
        children = Path(f"/proc/{self._main}/task/{self._main}/children")
        # First the main process, which then starts no others.
        os.kill(self._main, sig)
        for pid in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), sig)

    def _run(self, program: str, *arguments: str) -> None:
        binary = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))[-1]
        as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        data = f"--pgdata={self._folder / 'data'}"
        subprocess.run(
            [*as_postgres, binary, data, *arguments],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )


@contextmanager
def pgbouncer(url: str, port: int) -> Iterator[str]:
    """Yield the URL of the database at `url` behind PgBouncer, which pools transactions.

    Its other settings are PgBouncer's defaults.
    """
    target = make_url(url)
    with tempfile.TemporaryDirectory(prefix="streetlight-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users").write_text(f'"{target.username}" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={target.host} port={target.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {folder / 'users'}\npool_mode = transaction\n"
        )
        process = subprocess.Popen(
            ["/usr/sbin/pgbouncer", folder / "pgbouncer.ini"],
            user="postgres" if os.geteuid() == 0 else None,
            stderr=subprocess.PIPE,
        )
        assert process.stderr
        try:
            assert any(b"process up" in line for line in process.stderr)
            yield target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        finally:
            process.kill()
            process.communicate()
