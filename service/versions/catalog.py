"""Read versions: the list of all, the details of one, its weight pressure.

`comparison` compares two versions. `streetlight.model.registry.repository` promotes versions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray
from streetlight.model.network import WeightLists, weight_names
from streetlight.model.registry.manifest import Manifest
from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.report import error_curve
from streetlight.service.inference.codecs.batch_json import NUMBER_BYTES
from streetlight.service.inference.limits import Cost
from streetlight.service.ledger.accuracy import Accuracy

CURVE_POINTS = 200
# The time that a row's pressure on a weight takes, in multiplications.
PRESSURE_MULTIPLICATIONS = 8


@dataclass(frozen=True)
class ListedVersion(Manifest):
    """The manifest of a version, and its accuracy on observations recorded while it was live.

    `asked` is the number of those observations, and `right` how many of them it predicted.
    """

    asked: int = 0
    right: int = 0


@dataclass(frozen=True)
class DamagedVersion:
    """A version whose file can't be used; `damaged` is the reason."""

    version: int
    damaged: str


@dataclass(frozen=True)
class VersionList:
    """All versions, newest first, and the number of the live one."""

    live: int | None
    versions: list[ListedVersion | DamagedVersion]


@dataclass(frozen=True)
class VersionDetails:
    """The details of a version.

    `errors` is the thinned error curve of its training, as pairs of iteration and error.
    """

    version: int
    live: bool
    manifest: Manifest
    weights: WeightLists
    errors: list[tuple[int, float]]
    promotions: list[Promotion]


@dataclass(frozen=True)
class RowPressure:
    """The pressure of one training row on each weight: positive is up, negative is down."""

    lights: list[float]
    outcome: float
    score: float
    pressure: WeightLists


@dataclass(frozen=True)
class Pressure:
    """The weight-pressure table: some of the training rows, and the sums over all of them.

    `up` adds the positive pressures on each weight, `down` the negative ones; `sum` is `up` plus
    `down`.
    """

    version: int
    total_rows: int
    rows: list[RowPressure]
    up: WeightLists
    down: WeightLists
    sum: WeightLists


def list_versions(
    repository: ModelRepository,
    manifest_of: Callable[[int], Manifest],
    accuracy: Mapping[int, Accuracy] | None = None,
) -> VersionList:
    """Return all versions with their manifests, and their accuracy by version number.

    `manifest_of` returns the manifest of a version, or raises the errors of `ModelRepository.load`.
    """
    versions: list[ListedVersion | DamagedVersion] = []
    for number in reversed(repository.versions()):
        try:
            evaluated = (accuracy or {}).get(number, Accuracy(0, 0))
            manifest = manifest_of(number)
            versions.append(
                ListedVersion(
                    **vars(manifest), asked=evaluated.observations, right=evaluated.correct
                )
            )
        except VersionNotFoundError:
            continue  # the file was removed after `versions` listed it
        except VersionDamagedError as error:
            versions.append(DamagedVersion(number, str(error)))
    return VersionList(repository.live_number(), versions)


def details_cost(version: Version) -> Cost:
    """Return what `describe_version` costs."""
    return Cost(response_bytes=version.network.weight_count * NUMBER_BYTES)


def describe_version(repository: ModelRepository, version: Version) -> VersionDetails:
    """Return the details of `version`.

    Raises:
        VersionDamagedError: the errors can't be read from the file.
    """
    number = version.number
    return VersionDetails(
        version=number,
        live=repository.live_number() == number,
        manifest=version.manifest,
        weights=_named(version.network.weights),
        errors=error_curve(version.errors, CURVE_POINTS),
        promotions=[entry for entry in repository.promotions() if entry.version == number],
    )


def pressure_cost(version: Version, offset: int, limit: int) -> Cost:
    """Return what `pressure_table` costs."""
    weights, rows = version.network.weight_count, version.manifest.rows
    listed = len(range(rows)[offset : offset + limit])
    return Cost(
        multiplications=rows * weights * PRESSURE_MULTIPLICATIONS,
        # Each row and each of the three sums has a number for each weight.
        response_bytes=(listed + 3) * weights * NUMBER_BYTES,
    )


def pressure_table(version: Version, offset: int, limit: int) -> Pressure:
    """Return the weight pressure of the data that a version was trained on.

    The table lists up to `limit` rows from row `offset` on; the first row is 0.
    """
    dataset, network = version.dataset(), version.network
    listed = range(len(dataset))[offset : offset + limit]
    pressures = explanation.weight_pressure(network, dataset, slice(listed.start, listed.stop))
    up, down = explanation.total_pressure(network, dataset)
    return Pressure(
        version=version.number,
        total_rows=len(dataset),
        rows=[
            RowPressure(
                dataset.lights[row].tolist(),
                float(dataset.walk_vs_stop[row]),
                network.score(dataset.lights[row].tolist()),
                _named([pressure[i] for pressure in pressures]),
            )
            for i, row in enumerate(listed)
        ],
        up=_named(up),
        down=_named(down),
        sum=_named([u + d for u, d in zip(up, down, strict=True)]),
    )


def _named(matrices: Sequence[FloatArray]) -> WeightLists:
    names = weight_names(len(matrices))
    return {name: matrix.tolist() for name, matrix in zip(names, matrices, strict=True)}
