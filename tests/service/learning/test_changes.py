"""Tests of the changes in the database: what one read returns, and what it costs."""

from sqlalchemy import Engine, event, text

from streetlight.service.learning import changes, queue
from streetlight.service.learning.changes import RECENT_JOBS, DatabaseChanges, LedgerState
from streetlight.service.learning.job import JobSpec
from streetlight.service.ledger import queries
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE

SPEC = JobSpec(DEFAULT_RECIPE)


def observe(engine: Engine, count: int) -> None:
    record(engine, [NewObservation((1.0, 0.0, 0.0), "walk")] * count, None, "api")


def test_each_change_of_the_ledger_is_read_once(engine: Engine) -> None:
    reader = DatabaseChanges(engine)
    assert reader.read() == [LedgerState(4, 0, 4)]
    observe(engine, 3)
    assert reader.read() == [LedgerState(7, 0, 7)]
    assert reader.read() == []
    queries.withdraw(engine, 2)
    observe(engine, 1)
    assert reader.read() == [LedgerState(7, 1, 8)]
    queries.withdraw(engine, 2)
    assert reader.read() == []
    assert DatabaseChanges(engine).read() == [LedgerState(7, 1, 8)]


def test_each_change_of_a_job_is_read_once(engine: Engine) -> None:
    old = [queue.submit(engine, SPEC, None).id for _ in range(2 * RECENT_JOBS)]
    for number in old[1:]:
        queue.cancel(engine, number)
    reader = DatabaseChanges(engine)
    assert reader.read()[:-1] == [
        queue.get(engine, number) for number in (old[0], *old[-RECENT_JOBS:])
    ]
    cancelled = queue.cancel(engine, old[0])
    added = queue.submit(engine, SPEC, None)
    ended = queue.cancel(engine, queue.submit(engine, SPEC, None).id)
    assert reader.read() == [cancelled, added, ended]
    assert reader.read() == []


def test_a_read_without_a_change_is_one_query_that_reads_no_table(engine: Engine) -> None:
    observe(engine, 1000)
    queue.submit(engine, SPEC, None)
    reader = DatabaseChanges(engine)
    reader.read()
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    reader.read()
    assert len([each for each in statements if "SELECT" in each]) == 1, statements
    with engine.connect() as connection:
        explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(text(f"{explain} {changes._STATE.text}"), {"latest": 1004})
        lines = [str(row[-1]) for row in plan]
    print("\n".join(lines))
    assert any("ix_observations_withdrawn" in line for line in lines)
    assert any("ix_jobs_unfinished" in line for line in lines)
    assert not any("Seq Scan" in line for line in lines)
