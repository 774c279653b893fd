"""Idempotency keys: a repeated request with the same key gets the response of the first one.

A key is looked up and stored in the transaction that does the request's work. A crash can't leave
the work without the key, so a retry never does the work twice.
"""

import base64
import zlib
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, tuple_

from streetlight.service.store.engine import clock
from streetlight.service.store.tables import idempotency as table

RETENTION_SECONDS = 7 * 24 * 3600
# Expired responses deleted by each request with a key: more than it adds, but not so many that
# other writers wait.
DELETE_BATCH_SIZE = 10
# Begins a compressed response; one stored by an older version is JSON or a number.
COMPRESSED = "zlib:"


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
    return _decode(row.answer)


def stored_responses(connection: Connection, scope: str) -> list[str]:
    """Return all responses that are stored for an operation."""
    query = select(table.c.answer).where(table.c.scope == scope)
    return [_decode(answer) for answer in connection.execute(query).scalars()]


def _decode(answer: str) -> str:
    if answer.startswith(COMPRESSED):
        answer = zlib.decompress(base64.b64decode(answer[len(COMPRESSED) :])).decode()
    return answer


def store_response(
    connection: Connection, engine: Engine, request: IdempotentRequest, response: str
) -> None:
    """Store the response to a request for a week, and delete some of the older responses."""
    now = connection.execute(select(clock(engine))).scalar_one()
    row = tuple_(table.c.scope, table.c.key)
    expired = (
        select(table.c.scope, table.c.key)
        .where(table.c.at < now - RETENTION_SECONDS)
        .order_by(table.c.at)
        .limit(DELETE_BATCH_SIZE)
    )
    connection.execute(delete(table).where(row.in_(expired)))
    # Responses with many results are repetitive: a tenth of their size is left.
    compressed = base64.b64encode(zlib.compress(response.encode(), level=1)).decode()
    connection.execute(
        insert(table).values(
            scope=request.scope,
            key=request.key,
            sha256=request.sha256,
            answer=COMPRESSED + compressed,
            at=now,
        )
    )
