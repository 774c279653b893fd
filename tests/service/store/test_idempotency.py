"""Tests of idempotency keys: what is stored, for which request, and for how long."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select, text, update

from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.idempotency import (
    DELETE_BATCH_SIZE,
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


def test_expired_responses_are_deleted_in_parts_by_the_index(engine: Engine) -> None:
    plans = []

    def explain(connection: Connection, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("DELETE"):
            command = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            cursor = connection.connection.cursor()
            cursor.execute(f"{command} {statement}", values)
            plans.append(str(cursor.fetchall()))

    expired = 3 * DELETE_BATCH_SIZE - 1
    columns = {"scope": "observations", "sha256": "digest", "answer": "x" * 1000}
    rows = [{"key": f"{i}", "at": float(i), **columns} for i in range(expired)]
    recent = [{"key": f"recent {i}", "at": 1e11, **columns} for i in range(5000)]
    with write_transaction(engine) as connection:
        connection.execute(insert(table), rows + recent)
        connection.execute(text("ANALYZE"))
    event.listen(engine, "before_cursor_execute", explain)

    with engine.connect() as connection:
        for stored_keys in range(1, 4):
            store(engine, IdempotentRequest("observations", f"new {stored_keys}", "digest"), "[]")
            count = connection.execute(select(func.count()).select_from(table)).scalar_one()
            left = max(0, expired - stored_keys * DELETE_BATCH_SIZE)
            assert count == left + len(recent) + stored_keys
            connection.rollback()

    assert len(plans) == 3
    for plan in plans:
        assert "ix_idempotency_at" in plan
        assert not re.search(r"Seq Scan on idempotency|SCAN idempotency(?! USING)", plan)


def test_a_response_is_compressed(engine: Engine) -> None:
    response = json.dumps([{"verdict": "accepted", "id": i} for i in range(10_000)])
    store(engine, REQUEST, response)

    assert stored(engine, REQUEST) == response
    with engine.connect() as connection:
        size = connection.execute(select(func.length(table.c.answer))).scalar_one()
    assert size < len(response) / 5


def test_a_response_of_an_earlier_version_is_returned(engine: Engine) -> None:
    store(engine, REQUEST, "new")
    with write_transaction(engine) as connection:
        connection.execute(update(table).values(answer='[{"verdict": "accepted"}]'))

    assert stored(engine, REQUEST) == '[{"verdict": "accepted"}]'
