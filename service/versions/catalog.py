"""What there is to tell of versions: the list, one in full, its weight pressure.

How two differ is in `comparison`. Reading only; what changes which version is live is in
`streetlight.model.registry.repository`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray
from streetlight.model.network import weight_names
from streetlight.model.registry.manifest import Manifest
from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.report import error_curve
from streetlight.service.ledger.queries import Accuracy

CURVE_POINTS = 200

Weights = dict[str, list[list[float]]]


@dataclass(frozen=True)
class ListedVersion(Manifest):
    """What is known of a version, and how it did on what came after it.

    It was `asked` what it says to so many new observations, and said `right` so many times.
    """

    asked: int = 0
    right: int = 0


@dataclass(frozen=True)
class DamagedVersion:
    """A version whose file can't be used, and why."""

    version: int
    damaged: str


@dataclass(frozen=True)
class VersionList:
    """Every version, newest first, and which is live."""

    live: int | None
    versions: list[ListedVersion | DamagedVersion]


@dataclass(frozen=True)
class VersionDetails:
    """One version in full: `errors` is its error curve, thinned, as iteration and error."""

    version: int
    live: bool
    manifest: Manifest
    weights: Weights
    errors: list[tuple[int, float]]
    promotions: list[Promotion]


@dataclass(frozen=True)
class RowPressure:
    """How one training row pulls each weight: up where positive, down where negative."""

    lights: list[float]
    outcome: float
    score: float
    pressure: Weights


@dataclass(frozen=True)
class Pressure:
    """The weight-pressure table: a part of the rows, and the sums over all of them.

    `up` and `down` add the pulls in each direction, `sum` is what is left of them.
    """

    version: int
    total_rows: int
    rows: list[RowPressure]
    up: Weights
    down: Weights
    sum: Weights


def list_versions(
    repository: ModelRepository, asked: Mapping[int, Accuracy] | None = None
) -> VersionList:
    """Return every version with its manifest, and how it did on what came after it."""
    versions: list[ListedVersion | DamagedVersion] = []
    for number in reversed(repository.versions()):
        try:
            since = (asked or {}).get(number, Accuracy(0, 0))
            manifest = repository.load(number).manifest
            versions.append(
                ListedVersion(**vars(manifest), asked=since.observations, right=since.correct)
            )
        except VersionNotFoundError:
            continue  # removed since it was listed
        except VersionDamagedError as error:
            versions.append(DamagedVersion(number, str(error)))
    return VersionList(repository.live_number(), versions)


def describe_version(repository: ModelRepository, number: int) -> VersionDetails:
    """Return one version in full.

    Raises:
        VersionNotFoundError, VersionDamagedError: as `ModelRepository.load`.
    """
    version = repository.load(number)
    return VersionDetails(
        version=number,
        live=repository.live_number() == number,
        manifest=version.manifest,
        weights=_named(version.network.weights),
        errors=error_curve(version.errors, CURVE_POINTS),
        promotions=[line for line in repository.history() if line.version == number],
    )


def weight_pressure(version: Version, offset: int, limit: int) -> Pressure:
    """Return how the data that a version was trained on pull its weights.

    At most `limit` rows are listed, from row `offset` on; the first is 0.
    """
    dataset, network = version.dataset(), version.network
    listed = range(len(dataset))[offset : offset + limit]
    pulls = explanation.weight_pressure(network, dataset, slice(listed.start, listed.stop))
    up, down = explanation.total_pressure(network, dataset)
    return Pressure(
        version=version.number,
        total_rows=len(dataset),
        rows=[
            RowPressure(
                dataset.lights[row].tolist(),
                float(dataset.walk_vs_stop[row]),
                network.score(dataset.lights[row].tolist()),
                _named([pull[i] for pull in pulls]),
            )
            for i, row in enumerate(listed)
        ],
        up=_named(up),
        down=_named(down),
        sum=_named([u + d for u, d in zip(up, down, strict=True)]),
    )


def _named(matrices: Sequence[FloatArray]) -> Weights:
    names = weight_names(len(matrices))
    return {name: matrix.tolist() for name, matrix in zip(names, matrices, strict=True)}
