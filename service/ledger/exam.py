"""Select the exam: the observations that a training holds back to judge its result.

`training_set` reads their rows, and `service.learning.gate` judges.
"""

from dataclasses import dataclass

from streetlight.model.exam import MAX_EXAM, MIN_EXAM
from streetlight.model.id_ranges import IdRanges, newest, size
from streetlight.model.registry.version import Version


@dataclass(frozen=True)
class ExamSpec:
    """What to hold back.

    Attributes:
        amount: below 1 a share of the observations that the live version hasn't learnt from; from
            1 on, a number of observations; 0 for none.
        learnt: ids that the live version has learnt from; `None` if they aren't known.
        why_unknown: why they aren't known.
    """

    amount: float
    learnt: IdRanges | None
    why_unknown: str | None = None


NO_EXAM = ExamSpec(0, None)


def exam_spec(amount: float, live: Version | None) -> ExamSpec:
    """Return what to hold back from a training that is to replace `live`."""
    if live is None:
        return ExamSpec(amount, None, "no version is live")
    learnt = live.manifest.learnt
    return ExamSpec(amount, learnt, learnt_is_unknown(live) if learnt is None else None)


def learnt_is_unknown(version: Version) -> str:
    """Return the sentence that the ids of the training data of `version` aren't known."""
    return (
        f"which observations version {version.number} has learnt from isn't known: its training "
        f"data is {version.manifest.dataset}"
    )


def select_exam(unlearnt: IdRanges, spec: ExamSpec) -> tuple[IdRanges, str | None]:
    """Return the newest of the `unlearnt` ids that `spec` requires, or none and the reason."""
    if spec.amount == 0:
        return [], "exam is 0"
    if spec.learnt is None:
        return [], spec.why_unknown
    found = size(unlearnt)
    required = int(spec.amount)
    if spec.amount < 1:
        required = min(max(int(spec.amount * found), MIN_EXAM), MAX_EXAM)
    if found < required:
        return [], (
            f"an exam requires {required} observations that the live version hasn't learnt from, "
            f"got {found}"
        )
    return newest(unlearnt, required), None
