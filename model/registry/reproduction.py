"""`reproduce`: train a version again from its file, and compare the result bit for bit.

The result of the exam is computed again, too.

`python -m streetlight.model.registry.reproduction FILE SECONDS` prints the result as JSON. The
server runs this command, so that no process that answers requests trains: see
`service.versions.verification`.
"""

import json
import os
import resource
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from streetlight.model.dataset import Dataset
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import examine
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import TrainingDivergedError, fit

# Python's own exit status after an error is 1.
DAMAGED = 3

LOWEST_PRIORITY = 19


@dataclass(frozen=True)
class Reproduction:
    """The comparison of a version with a second training of it.

    Attributes:
        version: number of the version.
        identical: whether all weights, the scale, the errors, the seed and the exam have the same
            bits.
        differs: names of the values that have other bits.
        numpy: version of numpy of the first training, and of the second.
    """

    version: int
    identical: bool
    differs: list[str]
    numpy: tuple[str, str]


def reproduce(version: Version) -> Reproduction:
    """Train `version` again from the data and the recipe in its file, and return the comparison.

    Raises:
        VersionDamagedError: the data can't be read from the file, or training diverged.
    """
    manifest, exam = version.manifest, version.exam()
    try:
        training = fit(*_training(version))
    except TrainingDivergedError as error:
        raise VersionDamagedError(
            f"{version.path.name}: training version {version.number} again failed: {error}"
        ) from error
    stored = {
        **version.network.named_weights,
        "scale": np.array(version.network.scale),
        "errors": version.errors,
        "seed": np.array(manifest.seed),
    }
    retrained = {
        **training.network.named_weights,
        "scale": np.array(training.network.scale),
        "errors": training.errors,
        "seed": np.array(training.seed),
    }
    differs = [name for name in stored if stored[name].tobytes() != retrained[name].tobytes()]
    if exam and examine(training.network, exam) != manifest.exam:
        differs.append("exam")
    return Reproduction(version.number, not differs, differs, (manifest.numpy, np.__version__))


def _training(version: Version) -> tuple[Dataset, Recipe]:
    """Return the data and the recipe of the version's best run, as its release used them."""
    manifest, dataset = version.manifest, version.dataset()
    if manifest.threshold is not None:
        return dataset, manifest.recipe
    # Before 0.2, a row counted once, however many observations it stood for. Ties didn't matter
    # for the choice of the run, so this run is repeated alone.
    return replace(dataset, counts=np.ones_like(dataset.counts)), replace(
        manifest.recipe,
        seed=manifest.seed,
        restarts=0,
        iterations=len(version.errors),
        patience=None,
    )


def limit_process(seconds: int) -> None:
    """Give this process the lowest priority, and end it after `seconds` of processor time."""
    os.nice(LOWEST_PRIORITY)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def main(argv: list[str]) -> int:
    """Print the comparison for the version file `argv[0]` as JSON; return the exit status.

    The status is `DAMAGED` if the file can't be trained from; the reason is on standard error.
    """
    try:
        print(json.dumps(asdict(reproduce(Version.load(Path(argv[0]))))))
    except (OSError, VersionDamagedError) as error:
        print(getattr(error, "strerror", None) or error, file=sys.stderr)
        return DAMAGED
    return 0


if __name__ == "__main__":
    limit_process(int(sys.argv[2]))
    sys.exit(main(sys.argv[1:]))
