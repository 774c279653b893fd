"""The promotion gate: decide whether a new version may replace the live one.

Both are judged on the exam, observations that neither has learnt from, and on the training data;
where there is no exam, on the latter alone. This module only compares: `exam` has what the exam
needs, and `job_runner` calls `judge` and promotes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streetlight.model.dataset import Dataset, outcome_name
from streetlight.model.evaluation import PairedResult
from streetlight.model.exam import Exam
from streetlight.model.registry.version import Version
from streetlight.service.learning.exam import ExamVerdict, exam_verdict, unseen_exam
from streetlight.service.validation.fields import MustHold
from streetlight.service.versions.comparison import Change, IncomparableError, difference

# The patterns of must_hold that a verdict names as not kept.
MAX_VIOLATIONS = 100

# The p-value of McNemar's test below which `better` regards a difference as shown. If the versions
# are equally good, at most one exam in twenty has a lower one, for the better or the worse.
SIGNIFICANCE = 0.05

Promote = Literal["not_worse", "better", "always", "never"]


@dataclass(frozen=True)
class Verdict:
    """The result of the promotion gate for a new version.

    Attributes:
        passed: whether the version may go live.
        forced: whether the version went live although it didn't pass.
        reasons: why the version didn't pass; empty if it passed.
        against: the number of the version it was compared with; null if none was live.
        accuracy: of the new version, on the exam; on its training data if `unseen` is false.
        live_accuracy: of the version it was compared with, on the same observations.
        changed: the number of light states that the two versions decide differently.
        changes: 100 of these light states, with the most observed first.
        unseen: whether the versions were judged on observations that neither has learnt from.
        why_no_exam: why they weren't; null if they were.
        exam: the result on these observations; null without them.
    """

    passed: bool
    forced: bool
    reasons: list[str]
    against: int | None
    accuracy: float
    live_accuracy: float | None
    changed: int = 0
    changes: list[Change] = field(default_factory=list)
    unseen: bool = False
    why_no_exam: str | None = None
    exam: ExamVerdict | None = None


def judge(
    version: Version,
    dataset: Dataset,
    live: Version | None,
    must_hold: tuple[MustHold, ...],
    report: Callable[[], object] = lambda: None,
    *,
    exam: Exam | None = None,
    promote: Promote = "not_worse",
) -> Verdict:
    """Return whether `version` may replace `live`, and why not.

    A version passes if it meets its recipe's target error, takes as many lights as `live`, decides
    at least as many observations correctly as `live`, of the exam and of the training data, and
    keeps every pattern of `must_hold`. If it decides more of the exam correctly, and so many more
    that the p-value is below `SIGNIFICANCE`, the training data aren't compared; `promote` of
    `better` requires that. Without a live version, nothing is compared.

    Args:
        version: the new version.
        dataset: its training data.
        live: the live version.
        must_hold: the patterns to keep.
        report: called after each step that takes long for a large dataset.
        exam: the observations that were held back from the training of `version`.
        promote: when the version is promoted.
    """
    manifest, network = version.manifest, version.network
    reasons = []
    if missed := manifest.recipe.missed_target(manifest.error, manifest.tied_walks):
        reasons.append(missed)
    compared = None
    try:
        if live is not None:
            observed = [dataset, *([exam.dataset] if exam else [])]
            compared = difference(live, version, observed, report)
            report()
        unseen, why_no_exam = unseen_exam(version, live, exam)
    except IncomparableError as error:
        reasons.append(str(error))
        unseen, why_no_exam = None, str(error)
    data = unseen.dataset if unseen else dataset
    scores = network.scores(data.lights)
    report()
    accuracy, live_accuracy, result = data.accuracy(scores), None, None
    if live is not None and compared is not None:
        live_scores = live.network.scores(data.lights)
        report()
        live_accuracy = data.accuracy(live_scores)
        if unseen:
            result = exam_verdict(live_scores, scores, unseen)
            # A small exam lets many worse challengers pass; the training data find most of them.
            # But a champion that knows its own rows by heart is better there than anywhere else, so
            # an exam that shows the contrary decides alone.
            learnt = [dataset.accuracy(it.network.scores(dataset.lights)) for it in (version, live)]
            report()
            if learnt[0] < learnt[1] and not _is_better(result):
                reasons.append(_less_accurate(learnt[0], live, learnt[1], "its training data"))
        if accuracy < live_accuracy:
            observations = (
                "observations that neither has learnt from" if unseen else "the same observations"
            )
            reasons.append(_less_accurate(accuracy, live, live_accuracy, observations))
        elif promote == "better":
            reasons += _not_shown(result, why_no_exam)
    violations = list(_violations(version, must_hold))
    reasons += violations[:MAX_VIOLATIONS]
    if more := len(violations[MAX_VIOLATIONS:]):
        reasons.append(f"must_hold: {more} more patterns are not kept")
    return Verdict(
        passed=not reasons,
        forced=False,
        reasons=reasons,
        against=live.number if live else None,
        accuracy=accuracy,
        live_accuracy=live_accuracy,
        changed=compared.changed if compared else 0,
        changes=compared.changes if compared else [],
        unseen=result is not None,
        why_no_exam=why_no_exam,
        exam=result,
    )


def _is_better(result: PairedResult) -> bool:
    """Return whether the exam shows that the challenger is better."""
    return result.only_challenger > result.only_champion and result.p < SIGNIFICANCE


def _less_accurate(accuracy: float, live: Version, live_accuracy: float, where: str) -> str:
    return (
        f"the accuracy is {accuracy:.1%}, below the {live_accuracy:.1%} of version {live.number} "
        f"on {where}"
    )


def _not_shown(result: PairedResult | None, why_no_exam: str | None) -> Iterator[str]:
    """Yield why it isn't shown that the challenger is better."""
    if result is None:
        yield f"promote: better requires an exam, and there is none: {why_no_exam}"
    elif not _is_better(result):
        yield (
            f"promote: better requires a p-value below {SIGNIFICANCE:g}, got {result.p:.3g}: only "
            f"the new version is right on {result.only_challenger} observations of the exam, only "
            f"the live one on {result.only_champion}"
        )


def _violations(version: Version, must_hold: Sequence[MustHold]) -> Iterator[str]:
    expected = version.network.light_count
    comparable = [pattern.lights for pattern in must_hold if len(pattern.lights) == expected]
    scores = iter(version.network.scores(np.array(comparable, float).reshape(-1, expected)))
    for pattern in must_hold:
        count = len(pattern.lights)
        if count != expected:
            yield f"must_hold: expected a pattern of {expected} lights, got one of {count}"
        elif (decision := outcome_name(next(scores))) != pattern.outcome:
            lights = list(pattern.lights)
            yield f"must_hold: expected {pattern.outcome} for {lights}, got {decision}"
