"""The promotion gate: decide whether a new version may replace the live one.

This module only compares. `job_runner` calls it and promotes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streetlight.model.dataset import Dataset, outcome_name
from streetlight.model.registry.version import Version
from streetlight.service.validation.fields import MustHold
from streetlight.service.versions.comparison import Change, IncomparableError, difference

# The patterns of must_hold that a verdict names as not kept.
MAX_VIOLATIONS = 100


@dataclass(frozen=True)
class Verdict:
    """The result of the promotion gate for a new version.

    Attributes:
        passed: whether the version may go live.
        forced: whether the version went live although it didn't pass.
        reasons: why the version didn't pass; empty if it passed.
        against: the number of the version it was compared with; null if none was live.
        accuracy: of the new version, on the observations of the ledger.
        live_accuracy: of the version it was compared with, on the same observations.
        changed: the number of light states that the two versions decide differently.
        changes: the first 100 of these light states.
    """

    passed: bool
    forced: bool
    reasons: list[str]
    against: int | None
    accuracy: float
    live_accuracy: float | None
    changed: int = 0
    changes: list[Change] = field(default_factory=list)


def judge(
    version: Version,
    dataset: Dataset,
    live: Version | None,
    must_hold: tuple[MustHold, ...],
    report: Callable[[], object] = lambda: None,
) -> Verdict:
    """Return whether `version` may replace `live`, and why not.

    A version passes if it meets its recipe's target error, takes as many lights as `live`, is at
    least as accurate as `live` on `dataset`, and keeps every pattern of `must_hold`. `report` is
    called after each step that takes long for a large dataset.
    """
    manifest, network = version.manifest, version.network
    reasons = []
    target = manifest.recipe.target_error
    if target is not None and manifest.error > target:
        reasons.append(f"the error is {manifest.error:.3g}, above the target of {target:g}")
    accuracy = dataset.accuracy(network.scores(dataset.lights))
    report()
    live_accuracy = None
    changed, changes = 0, list[Change]()
    if live is not None:
        try:
            compared = difference(live, version)
            report()
            changed, changes = compared.changed, compared.changes
            live_accuracy = dataset.accuracy(live.network.scores(dataset.lights))
            report()
        except IncomparableError as error:
            reasons.append(str(error))
    if live is not None and live_accuracy is not None and accuracy < live_accuracy:
        reasons.append(
            f"the accuracy is {accuracy:.1%}, below the {live_accuracy:.1%} of version "
            f"{live.number} on the same observations"
        )
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
        changed=changed,
        changes=changes,
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
