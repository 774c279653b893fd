"""Tests of idempotency keys: what is stored, for which request, and for how long."""

import pytest
from sqlalchemy import Engine, func, select, update

from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.idempotency import (
    RETENTION_SECONDS,
    IdempotentRequest,
    KeyReusedError,
    store_response,
    stored_response,
)
from streetlight.service.store.tables import idempotency as table

REQUEST = IdempotentRequest("observations", "key", "digest")


def store(engine: Engine, request: IdempotentRequest, response: str) -> None:
    with write_transaction(engine) as connection:
        store_response(connection, engine, request, response)


def stored(engine: Engine, request: IdempotentRequest) -> str | None:
    with engine.connect() as connection:
        return stored_response(connection, request)


def test_a_response_is_stored_for_its_scope_and_key(engine: Engine) -> None:
    assert stored(engine, REQUEST) is None
    store(engine, REQUEST, "response")
    store(engine, IdempotentRequest("retrain", "key", "other"), "7")
    store(engine, IdempotentRequest("observations", "another", "digest"), "third")

    assert stored(engine, REQUEST) == "response"
    assert stored(engine, IdempotentRequest("retrain", "key", "other")) == "7"
    assert stored(engine, IdempotentRequest("retrain", "another", "digest")) is None
    with engine.connect() as connection:
        now, at = connection.execute(select(clock(engine), func.min(table.c.at))).one()
    assert at == pytest.approx(now, abs=10)


def test_a_key_with_another_body_is_refused(engine: Engine) -> None:
    store(engine, REQUEST, "response")

    with pytest.raises(KeyReusedError, match='"key"'):
        stored(engine, IdempotentRequest("observations", "key", "another digest"))


@pytest.mark.parametrize(("age", "kept"), [(-60, True), (60, False)])
def test_a_response_is_deleted_after_a_week(engine: Engine, age: float, kept: bool) -> None:
    assert RETENTION_SECONDS == 7 * 24 * 60 * 60
    store(engine, REQUEST, "response")
    with write_transaction(engine) as connection:
        connection.execute(update(table).values(at=table.c.at - RETENTION_SECONDS - age))

    store(engine, IdempotentRequest("observations", "another", "digest"), "new")

    assert stored(engine, REQUEST) == ("response" if kept else None)
    assert stored(engine, IdempotentRequest("observations", "another", "digest")) == "new"
