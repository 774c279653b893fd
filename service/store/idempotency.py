"""Idempotency keys: a repeated request with the same key gets the response of the first one.

A key is looked up and stored in the transaction that does the request's work. A crash can't leave
the work without the key, so a retry never does the work twice.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select

from streetlight.service.store.engine import clock
from streetlight.service.store.tables import idempotency as table

RETENTION_SECONDS = 7 * 24 * 3600


class KeyReusedError(ValueError):
    """The idempotency key was used before with another body."""


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that may be repeated.

    Attributes:
        scope: the operation; the same key in another scope is another key.
        key: the client's idempotency key.
        sha256: the digest of the request body.
    """

    scope: str
    key: str
    sha256: str


def stored_response(connection: Connection, request: IdempotentRequest) -> str | None:
    """Return the response stored for the request; `None` if its key wasn't used before.

    Raises:
        KeyReusedError: the key was used before with another body.
    """
    query = select(table.c.sha256, table.c.answer).where(
        table.c.scope == request.scope, table.c.key == request.key
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    if row.sha256 != request.sha256:
        raise KeyReusedError(
            f'Idempotency-Key: "{request.key}" was used before with another body; use a new key'
        )
    return str(row.answer)


def store_response(
    connection: Connection, engine: Engine, request: IdempotentRequest, response: str
) -> None:
    """Store the response to a request for a week, and delete older responses."""
    now = connection.execute(select(clock(engine))).scalar_one()
    connection.execute(delete(table).where(table.c.at < now - RETENTION_SECONDS))
    connection.execute(
        insert(table).values(
            scope=request.scope, key=request.key, sha256=request.sha256, answer=response, at=now
        )
    )
