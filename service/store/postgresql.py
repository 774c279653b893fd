"""Connect to PostgreSQL so that every wait for the server ends.

The server ends a statement that takes too long or waits too long for a lock. The client ends the
wait for a server that doesn't respond: the kernel finds out that packets are lost, and psycopg that
the server is stopped. Both ends look for lost packets, so that the server frees the locks of a
client that was cut off.
"""

import math
import os
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from streetlight.model.registry.file_lock import LOCK_TIMEOUT
from streetlight.service.config.settings import DATABASE_THREADS

# In seconds. For each host that the URL names, and for what a server answers at once.
CONNECT_TIMEOUT = 2
# A name server gets a second, instead of 5 and then 5 more, to resolve the name of a host. The C
# library reads these options from the environment. The only other name that a process resolves is
# that of the receiver of the webhook.
RESOLVER_OPTIONS = "timeout:1 attempts:1"
# How long sent packets may be without acknowledgement. A server that works on a statement
# acknowledges them.
TCP_TIMEOUT = 2
STATEMENT_TIMEOUT = LOCK_TIMEOUT + 2
# A server that works reports an error before the client gives up.
RESPONSE_TIMEOUT = LOCK_TIMEOUT + 5
# When a server has not responded for `SILENCE`, no connection to it is tried for `PAUSE`: of many
# requests, only those wait for it that are its first or that look for it again.
SILENCE = 1.0
PAUSE = 1.0

# Each thread that may use the database has a connection, so have the thread that reads metrics and
# the one that writes the prediction log. A transaction may need a second one for a moment.
POOL_SIZE = DATABASE_THREADS + 2
MAX_OVERFLOW = DATABASE_THREADS

# Those of the server, for a transaction. After the last one, the server ends a transaction whose
# client is suspended; one that writes may have locks that others wait for.
TIMEOUTS = {
    "lock_timeout": LOCK_TIMEOUT,
    "statement_timeout": STATEMENT_TIMEOUT,
    "idle_in_transaction_session_timeout": 30,
}
WRITE_TIMEOUTS = {"idle_in_transaction_session_timeout": 4}
# A migration may build an index of a large table.
MIGRATION_TIMEOUTS = {"statement_timeout": 0}

_OF_FORMER_PRIMARIES = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.LockNotAvailable)

# Once a second, the kernel asks whether the other end of an idle connection is there.
_KEEPALIVE = {"keepalives_idle": 1, "keepalives_interval": 1}
_USER_TIMEOUT = {"tcp_user_timeout": TCP_TIMEOUT * 1000}

# The parameters of each connection, unless the URL has them.
PARAMETERS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    **_KEEPALIVE,
    **_USER_TIMEOUT,
    # A pooler such as PgBouncer may run each transaction on another connection to the server.
    "prepare_threshold": None,
}

# The same for the server's end, which by default needs two hours to find out that a client is gone.
# A statement that waits for a lock looks once a second. Behind a pooler, its connection gets them.
_SERVER_PARAMETERS = {
    **{f"tcp_{name}": value for name, value in _KEEPALIVE.items()},
    **_USER_TIMEOUT,
    "client_connection_check_interval": 1000,
}


def open_engine(url: str) -> Engine:
    """Return an engine for the PostgreSQL database at `url`, without connecting.

    Raises:
        ArgumentError: the URL names another database or driver.
        ImportError: psycopg isn't installed.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql" or parsed.get_driver_name() != "psycopg":
        raise ArgumentError(
            f"expected sqlite:///… or postgresql+psycopg://…, got {parsed.drivername}://…"
        )
    os.environ.setdefault("RES_OPTIONS", RESOLVER_OPTIONS)
    parameters = {name: PARAMETERS[name] for name in PARAMETERS.keys() - parsed.query.keys()}
    engine = create_engine(
        parsed,
        connect_args={**parameters, "autocommit": True},  # because `begin` begins transactions
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=MAX_OVERFLOW,
        pool_timeout=CONNECT_TIMEOUT,
        hide_parameters=True,
    )
    server = _Server()

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: Any, kwargs: Any) -> object:  # noqa: ANN401 - psycopg's own
        return server.connect(*args, **kwargs)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        chosen = connection.get_execution_options()
        timeouts = TIMEOUTS | (WRITE_TIMEOUTS if chosen.get("writes", False) else {})
        driver: Any = connection.connection.driver_connection
        driver.response_timeout = RESPONSE_TIMEOUT
        if chosen.get("migrates", False):
            timeouts |= MIGRATION_TIMEOUTS
            driver.response_timeout = math.inf
        level = " ISOLATION LEVEL REPEATABLE READ" if chosen.get("snapshot", False) else ""
        # All digits of a number: a database or a role may have another setting, by which a time
        # that was read would not equal the one that is stored.
        statements = [f"BEGIN{level}", "SET LOCAL extra_float_digits = 1"]
        if "options" not in parsed.query:
            # Together with BEGIN. PgBouncer refuses them when a client connects, and other clients
            # would get those that a client sets for its session.
            statements += [f"SET LOCAL {name} = '{value}s'" for name, value in timeouts.items()]
        # Not in a cursor of the server, which the caller may want for the rows that it reads.
        options = {"stream_results": False, "yield_per": None}
        connection.exec_driver_sql("; ".join(statements), execution_options=options)

    @event.listens_for(engine, "handle_error")
    def look_for_the_primary(context: ExceptionContext) -> None:
        # After a failover, the former primary may still serve the connections that it has: it
        # refuses to write, or locks are held by commits that wait for the former standby.
        context.is_disconnect |= isinstance(context.original_exception, _OF_FORMER_PRIMARIES)

    return engine


class _Server:
    """The server of an engine, or the servers if the URL names several hosts."""

    def __init__(self) -> None:
        self._next_try = 0.0

    def connect(self, *args: Any, **kwargs: Any) -> "_Connection":  # noqa: ANN401 - psycopg's own
        """Return a connection; raise an error at once if the server did not respond just now."""
        now = time.monotonic()
        if now < self._next_try:
            raise psycopg.OperationalError(f"the server did not respond in the last {PAUSE:g} s")
        try:
            connection = _Connection.connect(*args, **kwargs)
        except psycopg.OperationalError:
            if time.monotonic() > now + SILENCE:
                self.pause()
            raise
        connection.server = self
        # An older server, or one that isn't on Linux, may refuse them; it works without.
        with suppress(psycopg.DatabaseError):
            connection.execute("; ".join(f"SET {n} = {v}" for n, v in _SERVER_PARAMETERS.items()))
        return connection

    def pause(self) -> None:
        """Let no connection be tried for a while."""
        self._next_try = time.monotonic() + PAUSE


class _Connection(psycopg.Connection[Any]):
    """A connection that is closed when the server sends nothing for too long.

    That is `CONNECT_TIMEOUT` outside a transaction, where a server has nothing to do but to begin
    one, and `response_timeout` in a transaction.
    """

    server: _Server
    response_timeout: float = RESPONSE_TIMEOUT

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:  # noqa: ANN401 - psycopg's
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, steps: PQGen[RV]) -> PQGen[RV]:
        """Yield what `steps` yields, the events to wait for, and return its result."""
        is_idle = self.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
        timeout = CONNECT_TIMEOUT if is_idle else self.response_timeout
        last, silence = time.monotonic(), 0.0
        try:
            event = next(steps)
            while True:
                # psycopg sends the events that happened: none after a tenth of a second. An event
                # may be that the kernel has given up.
                happened = yield event
                silence = time.monotonic() - last
                if happened:
                    last += silence
                elif silence > timeout:
                    self.close()
                    raise psycopg.OperationalError(f"the server did not respond for {timeout} s")
                event = steps.send(happened)
        except StopIteration as end:
            result: RV = end.value
            return result
        except psycopg.Error as error:
            # With a code, it comes from the server.
            if error.sqlstate is None and silence > SILENCE:
                self.server.pause()
            raise
