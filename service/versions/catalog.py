"""Read versions: the list of them, and the details of one.

`comparison` compares two versions. `streetlight.model.registry.repository` promotes versions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streetlight.model.network import WeightLists
from streetlight.model.registry.manifest import Manifest
from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.report import error_curve
from streetlight.service.inference.codecs.batch_json import NUMBER_BYTES
from streetlight.service.inference.limits import Cost
from streetlight.service.ledger.accuracy import Accuracy

CURVE_POINTS = 200
MAX_PROMOTIONS = 100


@dataclass(frozen=True)
class ListedVersion(Manifest):
    """The manifest of a version, and its accuracy on the observations that it predicted.

    `asked` is the number of those observations, and `right` for how many it was right.
    `promoted_by` is the `key` of its last promotion; null if that has none.
    """

    asked: int = 0
    right: int = 0
    promoted_by: str | None = None


@dataclass(frozen=True)
class DamagedVersion:
    """A version whose file can't be used; `damaged` is the reason."""

    version: int
    damaged: str


@dataclass(frozen=True)
class VersionList:
    """One page of versions, newest first, and the number of the live one.

    Request the next page with `after` set to `next`, null on the last.
    """

    live: int | None
    versions: list[ListedVersion | DamagedVersion]
    next: int | None


@dataclass(frozen=True)
class VersionDetails:
    """The details of a version.

    `weights` and `scale`, by which the network divides the lights, make a network for `POST /fit`.
    `errors` is the thinned error curve of its training, as pairs of iteration and error.
    `promotions` are the last 100.
    """

    version: int
    live: bool
    manifest: Manifest
    weights: WeightLists
    scale: float
    errors: list[tuple[int, float]]
    promotions: list[Promotion]


def list_versions(
    repository: ModelRepository,
    manifest_of: Callable[[int], Manifest],
    accuracy_of: Callable[[Sequence[int]], Mapping[int, Accuracy]] = lambda _: {},
    after: int | None = None,
    limit: int | None = None,
) -> VersionList:
    """Return versions, newest first, with their manifests and their accuracy.

    Args:
        repository: the repository of the versions.
        manifest_of: returns the manifest of a version, or raises the errors of
            `ModelRepository.load`.
        accuracy_of: returns the accuracy of those of some versions that decided an observation.
        after: the versions are those after this number: older, with smaller numbers.
        limit: the largest number of versions; by default, there is none.
    """
    numbers = [n for n in reversed(repository.versions()) if after is None or n < after]
    page = numbers[:limit]
    accuracy = accuracy_of(page)
    versions: list[ListedVersion | DamagedVersion] = []
    keys = {
        entry.version: entry.key for entry in repository.promotions() if entry.action != "unload"
    }
    for number in page:
        try:
            evaluated = accuracy.get(number, Accuracy(0, 0))
            manifest = manifest_of(number)
            versions.append(
                ListedVersion(
                    **vars(manifest),
                    asked=evaluated.observations,
                    right=evaluated.correct,
                    promoted_by=keys.get(number),
                )
            )
        except VersionNotFoundError:
            continue  # the file was removed after `versions` listed it
        except VersionDamagedError as error:
            versions.append(DamagedVersion(number, str(error)))
    next_after = page[-1] if len(page) < len(numbers) else None
    return VersionList(repository.live_number(), versions, next_after)


def details_cost(version: Version) -> Cost:
    """Return what `describe_version` costs."""
    return Cost(response_bytes=version.network.weight_count * NUMBER_BYTES)


def describe_version(repository: ModelRepository, version: Version) -> VersionDetails:
    """Return the details of `version`.

    Raises:
        VersionDamagedError: the errors can't be read from the file.
    """
    number = version.number
    promotions = [entry for entry in repository.promotions() if entry.version == number]
    return VersionDetails(
        version=number,
        live=repository.live_number() == number,
        manifest=version.manifest,
        weights={name: m.tolist() for name, m in version.network.named_weights.items()},
        scale=version.network.scale,
        errors=error_curve(version.errors, CURVE_POINTS),
        promotions=promotions[-MAX_PROMOTIONS:],
    )
