"""Tests of the queries on the ledger: filters, pages and counts."""

import pytest
from sqlalchemy import Engine, select, update

from streetlight.model.dataset import outcome_name
from streetlight.model.registry.version import Version
from streetlight.service.ledger import queries
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.ledger.queries import Filter, ObservationNotFoundError
from streetlight.service.store.engine import clock, write_transaction
from streetlight.service.store.tables import observations as table
from tests.service.services import version

ANY = Filter()
WALKS, STOPS = version(1, 1.0), version(2, 0.0)


def observe(
    engine: Engine, *outcomes: str, live: Version | None = None, source: str = "api"
) -> None:
    record(
        engine,
        [NewObservation((1.0,), outcome_name(outcome == "walk")) for outcome in outcomes],
        live,
        source,
    )


def set_time(engine: Engine, number: int, at: float) -> None:
    with write_transaction(engine) as connection:
        connection.execute(update(table).where(table.c.id == number).values(at=at))


def ids(engine: Engine, filters: Filter, after: int = 0, limit: int = 100) -> list[int]:
    return [observation.id for observation in queries.page(engine, filters, after, limit)]


def test_an_observation_has_all_its_fields(engine: Engine) -> None:
    row = NewObservation((1.0,), "stop", "mine")
    record(engine, [row], WALKS, "corner.csv")
    observe(engine, "walk")
    set_time(engine, 1, 1000.5)

    first, second = queries.page(engine, ANY, 0, 10)

    assert (first.id, first.client_id, first.at, first.lights) == (1, "mine", 1000.5, [1.0])
    assert (first.outcome, first.source, first.version) == ("stop", "corner.csv", 1)
    assert (first.said, first.withdrawn) == ("walk", False)
    assert (second.outcome, second.version, second.said) == ("walk", None, None)
    observe(engine, "walk", live=STOPS)
    assert queries.page(engine, ANY, 2, 10)[0].said == "stop"


def test_a_withdrawal_changes_one_row_once(engine: Engine) -> None:
    observe(engine, "walk", "stop")
    first = select(clock(engine), table.c.withdrawn_at).where(table.c.id == 1)

    withdrawn = queries.withdraw(engine, 1)

    assert (withdrawn.id, withdrawn.withdrawn) == (1, True)
    assert [row.withdrawn for row in queries.page(engine, ANY, 0, 10)] == [True, False]
    with engine.connect() as connection:
        now, at = connection.execute(first).one()
    assert at == pytest.approx(now, abs=10)

    with write_transaction(engine) as connection:
        connection.execute(update(table).where(table.c.id == 1).values(withdrawn_at=5.0))
    queries.withdraw(engine, 1)
    with engine.connect() as connection:
        assert connection.execute(first).one()[1] == 5

    with pytest.raises(ObservationNotFoundError):
        queries.withdraw(engine, 3)


def test_a_page_begins_after_an_id_and_has_a_limit(engine: Engine) -> None:
    observe(engine, *["walk"] * 5)

    assert ids(engine, ANY, after=0, limit=2) == [1, 2]
    assert ids(engine, ANY, after=2, limit=2) == [3, 4]
    assert ids(engine, ANY, after=4, limit=2) == [5]
    assert ids(engine, ANY, after=5, limit=2) == []


def test_each_filter_selects_rows(engine: Engine) -> None:
    observe(engine, "walk", "stop", source="lab")
    observe(engine, "walk", live=WALKS)
    observe(engine, "stop", live=STOPS)
    for number in range(1, 5):
        set_time(engine, number, 100.0 * number)

    assert ids(engine, ANY) == [1, 2, 3, 4]
    assert ids(engine, Filter(outcome="walk")) == [1, 3]
    assert ids(engine, Filter(outcome="stop")) == [2, 4]
    assert ids(engine, Filter(since=300.0)) == [3, 4]
    assert ids(engine, Filter(since=300.1)) == [4]
    assert ids(engine, Filter(version=2)) == [4]
    assert ids(engine, Filter(source="lab")) == [1, 2]
    assert ids(engine, Filter("stop", 200.0, None, "lab")) == [2]
    assert ids(engine, Filter("walk", 200.0, None, "lab")) == []


def test_a_stream_yields_pages_of_all_matching_rows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "STREAM_PAGE_SIZE", 2)
    observe(engine, *["walk"] * 4, "stop", "walk")

    pages = [[row.id for row in rows] for rows in queries.stream(engine, Filter(outcome="walk"))]

    assert pages == [[1, 2], [3, 4], [6]]


def test_withdrawn_observations_are_not_counted(engine: Engine) -> None:
    observe(engine, "walk", "stop", "walk")
    queries.withdraw(engine, 1)

    assert queries.count(engine, ANY) == 2
    assert queries.count(engine, Filter(outcome="walk")) == 1


def test_new_observations_are_counted_up_to_a_limit(engine: Engine) -> None:
    observe(engine, "walk", source="lab")
    observe(engine, *["walk"] * 4)
    queries.withdraw(engine, 2)

    assert queries.count_after(engine, 0, 10) == 3
    assert queries.count_after(engine, 0, 2) == 2
    assert queries.count_after(engine, 3, 10) == 2
    assert queries.count_after(engine, 4, 10) == 1
