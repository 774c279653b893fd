"""Connect to PostgreSQL so that every wait for the server ends.

The server ends a statement that takes too long or waits too long for a lock. The client ends the
wait for a server that doesn't respond at all: because it is stopped, or because packets are lost.
"""

import time
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from streetlight.model.registry.file_lock import LOCK_TIMEOUT
from streetlight.service.config import THREADS

# In seconds. A server that works reports an error before the client gives up.
CONNECT_TIMEOUT = 5
STATEMENT_TIMEOUT = LOCK_TIMEOUT + 2
RESPONSE_TIMEOUT = LOCK_TIMEOUT + 5
# Those of the server, for a transaction. After the last one, the server ends a transaction whose
# client is suspended, and frees its locks.
TIMEOUTS = {
    "lock_timeout": LOCK_TIMEOUT,
    "statement_timeout": STATEMENT_TIMEOUT,
    "idle_in_transaction_session_timeout": 30,
}

# The parameters of each connection, unless the URL has them.
PARAMETERS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    # A firewall between them may forget an idle connection, and drop its packets.
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": RESPONSE_TIMEOUT * 1000,
    # A pooler such as PgBouncer may run each transaction on another connection to the server.
    "prepare_threshold": None,
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
    parameters = {name: PARAMETERS[name] for name in PARAMETERS.keys() - parsed.query.keys()}
    engine = create_engine(
        parsed,
        connect_args={**parameters, "autocommit": True},  # because `begin` begins transactions
        pool_pre_ping=True,
        pool_size=THREADS,
        max_overflow=0,
        hide_parameters=True,
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: Any, kwargs: Any) -> object:  # noqa: ANN401 - psycopg's own
        return _Connection.connect(*args, **kwargs)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        snapshot = connection.get_execution_options().get("snapshot", False)
        statements = ["BEGIN ISOLATION LEVEL REPEATABLE READ" if snapshot else "BEGIN"]
        if "options" not in parsed.query:
            # Together with BEGIN. PgBouncer refuses them when a client connects, and other clients
            # would get those that a client sets for its session.
            statements += [f"SET LOCAL {name} = '{value}s'" for name, value in TIMEOUTS.items()]
        # Not in a cursor of the server, which the caller may want for the rows that it reads.
        options = {"stream_results": False, "yield_per": None}
        connection.exec_driver_sql("; ".join(statements), execution_options=options)

    return engine


class _Connection(psycopg.Connection[Any]):
    """A connection that is closed when the server sends nothing for `RESPONSE_TIMEOUT` seconds."""

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:  # noqa: ANN401 - psycopg's
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, steps: PQGen[RV]) -> PQGen[RV]:
        """Yield what `steps` yields, the events to wait for, and return its result."""
        try:
            event = next(steps)
            deadline = time.monotonic() + RESPONSE_TIMEOUT
            while True:
                # psycopg sends the events that happened: none after a tenth of a second.
                happened = yield event
                if happened:
                    deadline = time.monotonic() + RESPONSE_TIMEOUT
                elif time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server did not respond for {RESPONSE_TIMEOUT} s"
                    )
                event = steps.send(happened)
        except StopIteration as end:
            result: RV = end.value
            return result
