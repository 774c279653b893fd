"""Replay: train a version again from its file alone and compare, bit for bit.

`python -m streetlight.model.registry.reproduction FILE` prints the result as JSON; a server runs
that, so that the training doesn't take place in a process that answers requests.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import TrainingDivergedError, fit


@dataclass(frozen=True)
class Reproduction:
    """How a second training compares.

    Attributes:
        version: which was trained again.
        identical: whether every weight has the same bits.
        differs: the names of what came out otherwise.
        numpy: the numpy that trained it, and the one that did so now.
    """

    version: int
    identical: bool
    differs: list[str]
    numpy: tuple[str, str]


def reproduce(version: Version) -> Reproduction:
    """Train `version` again from the data and the recipe in its file.

    Raises:
        VersionDamagedError: its file no longer holds what it was trained on.
    """
    manifest = version.manifest
    try:
        training = fit(version.dataset(), manifest.recipe)
    except TrainingDivergedError as error:
        raise VersionDamagedError(f"{version.path}: trained again, it diverged: {error}") from error
    then = {
        **version.network.named_weights,
        "scale": np.array(version.network.scale),
        "errors": version.errors,
        "seed": np.array(manifest.seed),
    }
    now = {
        **training.network.named_weights,
        "scale": np.array(training.network.scale),
        "errors": training.errors,
        "seed": np.array(training.seed),
    }
    differs = [name for name in then if then[name].tobytes() != now[name].tobytes()]
    return Reproduction(version.number, not differs, differs, (manifest.numpy, np.__version__))


def main(argv: list[str]) -> int:
    """Print the replay of the version in the file that `argv` names."""
    try:
        print(json.dumps(asdict(reproduce(Version.load(Path(argv[0]))))))
    except (OSError, VersionDamagedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
