"""The exam of two versions: which observations it consists of, and its result.

`service.ledger.exam` selects the observations before a training; `gate` judges by the result.
"""

from dataclasses import dataclass

from streetlight.model.dataset import FloatArray
from streetlight.model.evaluation import PairedResult, evaluate_pair
from streetlight.model.exam import MIN_EXAM, Exam
from streetlight.model.id_ranges import IdRanges
from streetlight.model.registry.version import Version
from streetlight.service.ledger.exam import learnt_is_unknown


@dataclass(frozen=True)
class ExamVerdict(PairedResult):
    """How the two versions decide observations that neither has learnt from.

    The champion is the live version, the challenger the new one. `observations` has ranges of ids,
    both ends included.
    """

    observations: IdRanges


def exam_verdict(champion: FloatArray, challenger: FloatArray, exam: Exam) -> ExamVerdict:
    """Return the result of the scores of the two versions in `exam`."""
    paired = evaluate_pair(champion, challenger, exam.dataset)
    return ExamVerdict(**vars(paired), observations=exam.ids)


def unseen_exam(
    version: Version, live: Version | None, exam: Exam | None
) -> tuple[Exam | None, str | None]:
    """Return the part of `exam` from which neither version has learnt; without one, `None` and why.

    The live version may be another one than when the exam was held back.
    """
    if exam is None:
        return None, version.manifest.why_no_exam or "the version was trained without one"
    if live is None:
        return None, "no version is live"
    unseen: Exam | None = exam
    for judged in (version, live):
        learnt = judged.manifest.learnt
        if learnt is None:
            return None, learnt_is_unknown(judged)
        unseen = unseen and unseen.without(learnt)
    required, found = min(MIN_EXAM, len(exam.dataset)), len(unseen.dataset) if unseen else 0
    if found < required:
        return None, (
            f"version {live.number} has learnt from all but {found} of the {len(exam.dataset)} "
            f"observations of the exam, which requires {required}"
        )
    return unseen, None
