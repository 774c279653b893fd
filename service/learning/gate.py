"""The promotion gate: may a new version take the place of the one that is live?

Judging only; who asks, and what follows, is in `retraining`.
"""

from dataclasses import dataclass, field

from streetlight.model.dataset import Dataset, outcome_name
from streetlight.model.registry.version import Version
from streetlight.service.validation.fields import MustHold
from streetlight.service.versions.comparison import Change, IncomparableError, difference


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        passed: whether the version may go live.
        forced: whether it goes live nevertheless.
        reasons: what speaks against it; empty where nothing does.
        against: the version that was live at that moment, if any.
        accuracy: of the new version on the observations that it learnt from.
        live_accuracy: of the live version on the same.
        changes: every light pattern that the two decide differently.
    """

    passed: bool
    forced: bool
    reasons: list[str]
    against: int | None
    accuracy: float
    live_accuracy: float | None
    changes: list[Change] = field(default_factory=list)


def judge(
    version: Version, dataset: Dataset, live: Version | None, must_hold: tuple[MustHold, ...]
) -> Verdict:
    """Compare a new version with the live one on the data that the new one learnt from."""
    manifest, network = version.manifest, version.network
    reasons = []
    target = manifest.recipe.target_error
    if target is not None and manifest.error > target:
        reasons.append(f"its error is {manifest.error:.3g}, above the target of {target:g}")
    accuracy = dataset.accuracy(network.scores(dataset.lights))
    live_accuracy, changes = None, list[Change]()
    if live is not None:
        try:
            changes = difference(live, version).changes
            live_accuracy = dataset.accuracy(live.network.scores(dataset.lights))
        except IncomparableError as error:
            reasons.append(str(error))
    if live is not None and live_accuracy is not None and accuracy < live_accuracy:
        reasons.append(
            f"its accuracy is {accuracy:.1%}, and that of version {live.number} "
            f"on the same observations {live_accuracy:.1%}"
        )
    for wanted in must_hold:
        reasons += _broken(version, wanted)
    return Verdict(
        passed=not reasons,
        forced=False,
        reasons=reasons,
        against=live.number if live else None,
        accuracy=accuracy,
        live_accuracy=live_accuracy,
        changes=changes,
    )


def _broken(version: Version, wanted: MustHold) -> list[str]:
    lights = list(wanted.lights)
    if len(lights) != version.network.light_count:
        return [f"must_hold: {lights} is not a pattern of {version.network.light_count} lights"]
    decision = outcome_name(version.network.score(lights))
    if decision == wanted.outcome:
        return []
    return [f"must_hold: it decides {decision} for {lights}, and must decide {wanted.outcome}"]
