"""Tests of the promotion gate: each comparison, at its boundary."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from streetlight.model.dataset import Dataset
from streetlight.model.exam import Exam
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.learning.gate import judge
from streetlight.service.validation.fields import MustHold
from streetlight.service.versions.comparison import Change
from tests.service.services import training, version

# The outcome is walk for the first light and stop for the second; the first has three observations.
DATA = Dataset(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.0]), np.array([3, 1]))
RIGHT, WRONG = (1.0, 0.0), (0.0, 1.0)
ALWAYS_WALK, ALWAYS_STOP = (1.0, 1.0), (0.0, 0.0)


def test_without_a_live_version_any_version_passes() -> None:
    verdict = judge(version(5, *WRONG), DATA, None, ())

    assert (verdict.passed, verdict.forced, verdict.reasons) == (True, False, [])
    assert (verdict.against, verdict.accuracy, verdict.live_accuracy) == (None, 0.0, None)
    assert verdict.changes == []


@pytest.mark.parametrize(
    ("error", "target", "passed"),
    [(0.01, 0.01, True), (np.nextafter(0.01, 1), 0.01, False), (9.0, None, True), (0.1, 0, False)],
)
def test_an_error_above_the_target_does_not_pass(
    error: float, target: float | None, passed: bool
) -> None:
    verdict = judge(version(1, *RIGHT, error=error, target_error=target), DATA, None, ())

    assert verdict.passed is passed
    assert len(verdict.reasons) == (not passed)


@pytest.mark.parametrize(
    ("new", "live", "passed", "accuracies"),
    [
        (RIGHT, ALWAYS_WALK, True, (1.0, 0.75)),
        (ALWAYS_WALK, RIGHT, False, (0.75, 1.0)),
        (ALWAYS_STOP, ALWAYS_WALK, False, (0.25, 0.75)),
        (WRONG, WRONG, True, (0.0, 0.0)),
    ],
)
def test_an_accuracy_below_the_live_version_s_does_not_pass(
    new: tuple[float, ...],
    live: tuple[float, ...],
    passed: bool,
    accuracies: tuple[float, float],
) -> None:
    verdict = judge(version(7, *new), DATA, version(3, *live), ())

    assert verdict.passed is passed
    assert len(verdict.reasons) == (not passed)
    assert (verdict.accuracy, verdict.live_accuracy) == accuracies
    assert verdict.against == 3


def test_a_version_that_is_worse_on_its_training_data_does_not_pass(tmp_path: Path) -> None:
    """Also if it is not worse on the exam, which has few observations."""
    repository = ModelRepository(tmp_path)
    always_walk, right = (
        repository.publish(training(*weights, dataset=DATA), DATA, Provenance("ledger", None, []))
        for weights in (ALWAYS_WALK, RIGHT)
    )
    exam = Exam([(5, 34)], Dataset(np.array([[1.0, 0.0]] * 30), np.ones(30)))

    verdict = judge(always_walk, DATA, right, (), exam=exam)
    assert verdict.exam is not None
    assert (verdict.accuracy, verdict.live_accuracy, verdict.exam.p) == (1, 1, 1)
    assert verdict.reasons == [
        "the accuracy is 75.0%, below the 100.0% of version 2 on its training data"
    ]

    assert judge(right, DATA, always_walk, (), exam=exam).passed

    # A champion that knows its training data by heart doesn't stay live for that.
    exam = Exam([(5, 34)], Dataset(np.array([[0.0, 1.0]] * 30), np.ones(30)))
    for promote in ("not_worse", "better"):
        assert judge(always_walk, DATA, right, (), exam=exam, promote=promote).passed


def test_the_verdict_lists_the_changed_decisions() -> None:
    verdict = judge(version(7, *RIGHT), DATA, version(3, *ALWAYS_WALK), ())

    assert verdict.changed == 1
    assert verdict.changes == [Change([0.0, 1.0], "walk", "stop", -1.0, observed=1)]


@pytest.mark.parametrize(("lights", "changed"), [(8, 2**8), (11, 13)])
def test_the_most_observed_changes_are_listed_first(
    tmp_path: Path, lights: int, changed: int
) -> None:
    """Also those of the exam, and of a state in which a light is neither off nor on."""
    repository = ModelRepository(tmp_path)
    data = Dataset(np.eye(lights), np.zeros(lights), 10 * np.arange(1, lights + 1))
    live, new = (
        repository.publish(training(*[weight] * lights, dataset=data), data, Provenance("test"))
        for weight in (0.0, 1.0)
    )
    exam = Exam(
        [(101, 104)],
        Dataset(
            np.array([*np.eye(lights)[[2, 2]], np.ones(lights), np.full(lights, 0.5)]), np.ones(4)
        ),
    )

    verdict = judge(new, data, live, (), exam=exam)

    expected = Counter({tuple(row): 10 * i for i, row in enumerate(np.eye(lights).tolist(), 1)})
    expected.update(map(tuple, exam.dataset.lights.tolist()))
    found = [(tuple(change.lights), change.observed) for change in verdict.changes]
    assert found[: lights + 2] == expected.most_common()
    assert [observed for _, observed in found[lights + 2 :]] == [0] * (len(found) - lights - 2)
    assert (verdict.changed, len(found)) == (changed, min(changed, 100))


def test_the_verdict_lists_the_first_hundred_changed_decisions() -> None:
    data = Dataset(np.eye(10), np.zeros(10))

    verdict = judge(version(7, *[1.0] * 10), data, version(3, *[0.0] * 10), ())

    assert (verdict.changed, len(verdict.changes)) == (2**10 - 1, 100)


def test_a_version_for_another_number_of_lights_does_not_pass() -> None:
    verdict = judge(version(7, *RIGHT), DATA, version(3, 1.0, 1.0, 1.0), ())

    assert (verdict.passed, verdict.against) == (False, 3)
    assert verdict.reasons == [
        "can't compare version 3, which takes 3 lights, with version 7, which takes 2"
    ]
    assert (verdict.accuracy, verdict.live_accuracy, verdict.changes) == (1.0, None, [])


def test_each_pattern_of_must_hold_is_checked() -> None:
    kept = (MustHold((1.0, 0.0), "walk"), MustHold((0.0, 1.0), "stop"))
    assert judge(version(1, *RIGHT), DATA, None, kept).passed

    broken = judge(version(1, *WRONG), DATA, None, kept)
    assert (broken.passed, len(broken.reasons)) == (False, 2)
    assert all(reason.startswith("must_hold: ") for reason in broken.reasons)


def test_the_verdict_names_the_first_hundred_patterns_that_are_not_kept() -> None:
    must_hold = (MustHold((1.0, 0.0), "walk"), MustHold((1.0,), "walk")) * 200

    verdict = judge(version(1, *WRONG), DATA, None, must_hold)

    assert len(verdict.reasons) == 101
    assert verdict.reasons[-1] == "must_hold: 300 more patterns are not kept"


@pytest.mark.parametrize("lights", [(1.0,), (1.0, 0.0, 0.0)])
def test_a_must_hold_pattern_with_another_number_of_lights_does_not_pass(
    lights: tuple[float, ...],
) -> None:
    verdict = judge(version(1, *RIGHT), DATA, None, (MustHold(lights, "walk"),))

    assert (verdict.passed, len(verdict.reasons)) == (False, 1)


def test_the_verdict_lists_every_reason() -> None:
    failing = version(7, *WRONG, error=0.2, target_error=0.1)
    verdict = judge(failing, DATA, version(3, *RIGHT), (MustHold((1.0, 0.0), "walk"),))

    assert len(verdict.reasons) == 3
    assert not verdict.passed
