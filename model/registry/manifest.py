"""Manifest: what is known of a version besides its arrays.

It is the JSON inside a version's file; the file itself is in `version`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from streetlight.model.dataset import Dataset
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import TrainingResult

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What is known of a version besides its arrays; JSON in the file.

    Attributes:
        version: its number; 0 until it is published.
        parent: the version that was live when it was trained, if any.
        created_at: when it was published, UTC, ISO 8601.
        dataset: where its training data came from, such as `lab` or a file's name.
        rows: how many rows it was trained on.
        conflicts: how many of its light states were seen with both outcomes.
        lights: how many lights a state has.
        off: what a light that is off looks like in the training data (the lowest light).
        on: likewise for on (the highest).
        recipe: how it was trained.
        seed: the seed that won.
        runs: how many seeds were tried.
        error: its squared errors on its training data, summed over the rows.
        accuracy: the share of its training observations that it decides rightly.
        numpy: the numpy that trained it.
        sha256: digest of its scale, activation and weights.
        observations: the ids that its data were made of, as ranges, where there was a ledger.
        job: that trained it, where one did.
        format: of the file.
    """

    version: int
    parent: int | None
    created_at: str
    dataset: str
    rows: int
    conflicts: int
    lights: int
    off: float
    on: float
    recipe: Recipe
    seed: int
    runs: int
    error: float
    accuracy: float
    numpy: str
    sha256: str
    observations: list[tuple[int, int]] | None = None
    job: int | None = None
    format: int = FORMAT

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read what is in a file.

        Raises:
            ValueError: it is not such a manifest.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            found = fields.get("format") if isinstance(fields, dict) else fields
            raise ValueError(f"expected manifest format {FORMAT}, got {found}")
        try:
            return cls(**{**fields, "recipe": Recipe(**fields.get("recipe", {}))})
        except TypeError as error:
            raise ValueError(f"manifest: {error}") from error

    def to_json(self) -> str:
        """Write what `from_json` reads."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Provenance:
    """Where a training's data came from: see the fields of `Manifest` of the same names."""

    dataset: str
    parent: int | None = None
    observations: list[tuple[int, int]] | None = None
    job: int | None = None


def describe(training: TrainingResult, dataset: Dataset, origin: Provenance) -> Manifest:
    """Return the manifest of a training that is not published yet: its version is 0."""
    off, on = dataset.levels
    return Manifest(
        version=0,
        parent=origin.parent,
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        dataset=origin.dataset,
        rows=len(dataset),
        conflicts=dataset.conflicts,
        lights=dataset.light_count,
        off=off,
        on=on,
        recipe=training.recipe,
        seed=training.seed,
        runs=training.runs,
        error=training.error,
        accuracy=training.accuracy,
        numpy=np.__version__,
        sha256=digest(training.network),
        observations=origin.observations,
        job=origin.job,
    )


def digest(network: Network) -> str:
    """Return the sha256, in hexadecimal, of all that decides what the network answers."""
    sha256 = hashlib.sha256(f"{network.activation} {network.scale!r}".encode())
    for name, matrix in network.named_weights.items():
        sha256.update(f" {name} {matrix.shape} ".encode())
        sha256.update(matrix.astype("<f8").tobytes())
    return sha256.hexdigest()
