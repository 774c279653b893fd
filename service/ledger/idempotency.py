"""Idempotency keys: the same call with the same key gets the answer that it got before.

A key is looked up and remembered in the transaction that does the work, so there is no moment at
which one is there without the other.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select

from streetlight.service.store.engine import clock
from streetlight.service.store.tables import idempotency as table

KEPT_SECONDS = 7 * 24 * 3600


class KeyReusedError(ValueError):
    """The key came before, with another body."""


@dataclass(frozen=True)
class IdempotentRequest:
    """A call that may come again: what it is about, its key, and the digest of its body."""

    scope: str
    key: str
    sha256: str


def stored_response(connection: Connection, call: IdempotentRequest) -> str | None:
    """Return the answer that the call got before, if it came before.

    Raises:
        KeyReusedError: the key came before, with another body.
    """
    query = select(table.c.sha256, table.c.answer).where(
        table.c.scope == call.scope, table.c.key == call.key
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    if row.sha256 != call.sha256:
        raise KeyReusedError(
            f'Idempotency-Key: "{call.key}" came before, with another body; take a new one'
        )
    return str(row.answer)


def store_response(
    connection: Connection, engine: Engine, call: IdempotentRequest, answer: str
) -> None:
    """Keep the answer for a week, and forget what is older."""
    now = connection.execute(select(clock(engine))).scalar_one()
    connection.execute(delete(table).where(table.c.at < now - KEPT_SECONDS))
    connection.execute(
        insert(table).values(
            scope=call.scope, key=call.key, sha256=call.sha256, answer=answer, at=now
        )
    )
