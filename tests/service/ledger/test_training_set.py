"""Tests of the training set: groups, means, counts and observation ids."""

import pytest
from sqlalchemy import Engine

from streetlight.model.dataset import Outcome
from streetlight.service.ledger import training_set
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.ledger.queries import withdraw
from streetlight.service.ledger.training_set import LedgerError, load_training_set


def observe(engine: Engine, *rows: tuple[tuple[float, ...], Outcome]) -> None:
    record(engine, [NewObservation(lights, outcome) for lights, outcome in rows], None, "api")


B, A, C = (0.0, 1.0), (0.0, 0.0), (1.0, 0.5)


def test_equal_light_states_become_one_row_in_order_of_appearance(engine: Engine) -> None:
    observe(engine, (B, "walk"), (A, "stop"), (B, "stop"), (C, "walk"), (B, "walk"), (B, "walk"))

    found = load_training_set(engine)

    assert found.dataset.lights.tolist() == [list(B), list(A), list(C)]
    assert found.dataset.walk_vs_stop.tolist() == [0.75, 0.0, 1.0]
    assert found.dataset.counts.tolist() == [4, 1, 1]
    assert found.ids == [(1, 6)]


def test_withdrawn_observations_are_excluded(engine: Engine) -> None:
    observe(engine, (B, "walk"), (A, "stop"), (B, "stop"), (C, "walk"), (B, "walk"), (B, "walk"))
    for number in (1, 3, 4):
        withdraw(engine, number)

    found = load_training_set(engine)

    assert found.dataset.lights.tolist() == [list(A), list(B)]
    assert found.dataset.walk_vs_stop.tolist() == [0.0, 1.0]
    assert found.dataset.counts.tolist() == [1, 2]
    assert found.ids == [(2, 2), (5, 6)]


def test_an_empty_ledger_is_refused(engine: Engine) -> None:
    with pytest.raises(LedgerError):
        load_training_set(engine)
    observe(engine, (A, "walk"))
    withdraw(engine, 1)
    with pytest.raises(LedgerError):
        load_training_set(engine)


@pytest.mark.parametrize(("present", "missing"), [("walk", "stop"), ("stop", "walk")])
def test_a_ledger_with_one_outcome_is_refused(
    engine: Engine, present: Outcome, missing: Outcome
) -> None:
    observe(engine, (A, present), (B, present), (C, missing))
    withdraw(engine, 3)

    with pytest.raises(LedgerError, match=f"2 with {present} .* with {missing}"):
        load_training_set(engine)

    observe(engine, (A, missing))
    assert load_training_set(engine).dataset.walk_vs_stop.tolist()[0] == 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages_are_merged(engine: Engine, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    observe(engine, (B, "walk"), (A, "stop"), (B, "stop"), (A, "walk"), (C, "walk"), (A, "stop"))
    observe(engine, (A, "stop"), (C, "walk"))
    for number in (2, 5):
        withdraw(engine, number)
    monkeypatch.setattr(training_set, "PAGE_SIZE", size)
    reports: list[None] = []

    found = load_training_set(engine, lambda: reports.append(None))

    assert found.dataset.lights.tolist() == [list(B), list(A), list(C)]
    assert found.dataset.walk_vs_stop.tolist() == [0.5, 1 / 3, 1.0]
    assert found.dataset.counts.tolist() == [2, 3, 1]
    assert found.ids == [(1, 1), (3, 4), (6, 8)]
    assert len(reports) == -(-8 // size)


@pytest.mark.parametrize(
    ("lights", "cause"),
    [
        (
            [[1.0, 0.0], [0.0, 1.0], [0.0, 101.0], [1.0, 1.0]],
            "lights[1] is 101,",
        ),
        (
            [[1.0, 0.0], [0.0, 1.0], [0.0, -1e6], [1.0, 1.0]],
            "lights[1] is -1e+06,",
        ),
        ([[1.0, 0.0], [0.0, 1.0], [0.0, 100.0], [1.0, 1.0]], None),
        ([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [5.0, 0.0]], None),
        ([[0.0, 0.0]] * 2, None),
    ],
)
def test_an_exceptional_light_is_named(
    engine: Engine, lights: list[list[float]], cause: str | None
) -> None:
    observe(engine, (tuple(lights[0]), "walk"), *((tuple(row), "stop") for row in lights[1:]))

    outlier = load_training_set(engine).outlier()

    if cause is None:
        assert outlier is None
        return
    assert outlier is not None
    assert outlier.startswith(f"observation 3 may be the cause: {cause}")
    assert "DELETE /observations/3" in outlier
    assert len(outlier) < 300
