"""Tests of the training set: groups, means, counts and observation ids."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert

from streetlight.model.dataset import Dataset, Outcome
from streetlight.model.exam import MAX_EXAM, MIN_EXAM
from streetlight.model.id_ranges import IdRanges, expand, size
from streetlight.service.ledger import exam as exam_module
from streetlight.service.ledger import training_set
from streetlight.service.ledger.exam import ExamSpec, select_exam
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.ledger.queries import withdraw
from streetlight.service.ledger.training_set import LedgerError, load_training_set
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import observations as table


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


@pytest.mark.parametrize("size", [2, 100])
def test_repeats_are_kept_in_the_order_of_their_ids(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    observe(engine, (B, "walk"), (A, "stop"), (B, "stop"), (C, "walk"), (B, "walk"))
    withdraw(engine, 4)
    monkeypatch.setattr(training_set, "PAGE_SIZE", size)

    found = load_training_set(engine, repeats="kept")

    assert found.dataset.lights.tolist() == [list(B), list(A), list(B), list(B)]
    assert found.dataset.walk_vs_stop.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert found.dataset.counts.tolist() == [1, 1, 1, 1]
    assert (found.ids, found.first_ids) == ([(1, 3), (5, 5)], [1, 2, 3, 5])


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
    assert len(reports) == 2 * -(-8 // size)


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


class Row(NamedTuple):
    """An observation of a random ledger."""

    lights: str
    outcome: int
    withdrawn: bool
    lab: bool
    learnt: bool


def often(usual: bool) -> st.SearchStrategy[bool]:
    return st.sampled_from([usual] * 5 + [not usual])


ROWS = st.builds(
    Row,
    st.sampled_from(["[0.0]", "[0.5]", "[1.0]"]),
    st.integers(0, 1),
    often(False),
    often(False),
    st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(ROWS, min_size=2, max_size=25),
    st.sampled_from([0, 0.2, 0.5, 0.99, 1, 2, 5, 12]),
    st.integers(1, 30),
)
def test_the_exam_is_the_newest_that_the_live_version_has_not_learnt_from(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, rows: list[Row], amount: float, page: int
) -> None:
    for module, name, value in (
        (training_set, "PAGE_SIZE", page),
        (exam_module, "MIN_EXAM", 3),
        (exam_module, "MAX_EXAM", 8),
    ):
        monkeypatch.setattr(module, name, value)
    numbered = dict(enumerate(rows, 1))
    with write_transaction(engine) as connection:
        connection.execute(delete(table))
        columns = [
            {
                "id": number,
                "at": 0,
                "lights": row.lights,
                "outcome": row.outcome,
                "source": "lab" if row.lab else "api",
                "withdrawn_at": 1 if row.withdrawn else None,
            }
            for number, row in numbered.items()
        ]
        connection.execute(insert(table), columns)
    kept = {number: row for number, row in numbered.items() if not row.withdrawn}
    unlearnt = [i for i, row in kept.items() if not row.lab and not row.learnt]
    required = min(max(int(amount * len(unlearnt)), 3), 8) if amount < 1 else int(amount)
    expected = unlearnt[-required:] if amount > 0 and required <= len(unlearnt) else []
    if len({row.outcome for i, row in kept.items() if i not in expected}) < 2:
        expected = []
    learnt = [(i, i) for i, row in numbered.items() if row.learnt]

    try:
        found = load_training_set(engine, exam=ExamSpec(amount, learnt))
    except LedgerError:
        assert len({row.outcome for row in kept.values()}) < 2
        return

    held_back = expand(found.exam.ids).tolist() if found.exam else []
    assert held_back == expected
    assert (found.why_no_exam is None) is bool(expected)
    assert expand(found.ids or []).tolist() == [i for i in kept if i not in expected]
    if found.exam:
        pairs = zip(*content(found.exam.dataset), strict=True)
        assert list(pairs) == [(kept[i].lights, kept[i].outcome) for i in expected]
    states = [row.lights for i, row in kept.items() if i not in expected]
    lights, means = content(found.dataset)
    assert lights == list(dict.fromkeys(states))
    assert found.dataset.counts.tolist() == [states.count(state) for state in lights]
    walks = [row.lights for i, row in kept.items() if i not in expected and row.outcome]
    assert means == [walks.count(state) / states.count(state) for state in lights]


def content(dataset: Dataset) -> tuple[list[str], list[float]]:
    return [str(row) for row in dataset.lights.tolist()], dataset.walk_vs_stop.tolist()


def test_an_exam_has_bounds() -> None:
    def selected(amount: float, ids: int, learnt: IdRanges | None = None) -> tuple[int, str | None]:
        ranges, reason = select_exam([(1, ids)], ExamSpec(amount, learnt, "unknown"))
        return size(ranges), reason

    assert selected(0.2, 200, []) == (40, None)
    assert selected(0.2, MIN_EXAM, []) == (MIN_EXAM, None)
    assert selected(0.2, 10**6, []) == (MAX_EXAM, None)
    assert selected(7, 7, []) == (7, None)
    assert selected(0, 10**6, []) == (0, "exam is 0")
    assert selected(0.2, 10**6) == (0, "unknown")
    for amount, ids, required in ((0.5, MIN_EXAM - 1, MIN_EXAM), (8, 7, 8)):
        _, reason = selected(amount, ids, [])
        assert reason == (
            f"an exam requires {required} observations that the live version hasn't learnt from, "
            f"got {ids}"
        )
