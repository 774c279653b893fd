"""`Manifest`: the metadata of a version, stored as JSON in the version's file.

Reading and writing the file, with its arrays, is in `version`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from streetlight.model.dataset import FORMER_NAMES, LAB_DATASETS, THRESHOLD, Dataset
from streetlight.model.evaluation import evaluate
from streetlight.model.exam import Exam
from streetlight.model.id_ranges import IdRanges, checked
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import TrainingResult

FORMAT = 1


@dataclass(frozen=True)
class ExamRecord:
    """The exam of a version: the observations held back from its training, and its result.

    Attributes:
        observations: ranges of their ids, both ends included.
        right: the number of them that the version decides correctly.
        squared_error: the squared errors on them, summed.
        sha256: digest of the rows: see `Exam.digest`.
    """

    observations: IdRanges
    right: int
    squared_error: float
    sha256: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "observations", checked(self.observations))


@dataclass(frozen=True)
class Manifest:
    """The metadata of a version.

    Attributes:
        version: number of the version; 0 before it is published.
        parent: number of the version that was live before the training, or `None`.
        created_at: time of publication, UTC, ISO 8601.
        dataset: source of the training data: a name in `LAB_DATASETS`, `ledger`, `request` or a
            file's name.
        rows: number of rows of the training data.
        conflicts: number of light states that were observed with both outcomes.
        lights: number of lights in a state.
        off: value of an off light in the training data: see `Dataset.levels`.
        on: value of an on light, likewise.
        recipe: the parameters of the training.
        seed: seed of the best run.
        runs: number of seeds that were tried.
        error: the squared errors on the training data, summed over the rows.
        accuracy: the share of the training observations that the version decides correctly.
        numpy: version of numpy that trained the version.
        sha256: digest of the network: see `digest`.
        observations: ranges of the observation ids in the training data, both ends included, or
            `None` if the data isn't from a ledger.
        job: id of the retraining job, or `None` without one.
        exam: the observations that were held back from the training; `None` if there are none.
        why_no_exam: why none were held back; `None` if they were, or if the data isn't from a
            ledger.
        tied_walks: the number of light states observed as often with walk as with stop that the
            version decides walk.
        threshold: the score above which the version's release decided walk; `None` before 0.2.
        format: version of the manifest's format.
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
    observations: IdRanges | None = None
    job: int | None = None
    exam: ExamRecord | None = None
    why_no_exam: str | None = None
    tied_walks: int = 0
    threshold: float | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.observations is not None:
            object.__setattr__(self, "observations", checked(self.observations))

    @property
    def learnt(self) -> IdRanges | None:
        """The ids of the ledger's observations in the training data; `None` if they aren't known.

        A dataset of the lab contains none, except those that a new ledger starts with.
        """
        if self.observations is None:
            return [] if self.dataset in {*LAB_DATASETS, *FORMER_NAMES} else None
        return self.observations

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Return the manifest in `text`.

        Raises:
            ValueError: `text` is not a manifest of this format.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            found = fields.get("format") if isinstance(fields, dict) else fields
            raise ValueError(f"expected manifest format {FORMAT}, got {found}")
        try:
            exam = ExamRecord(**fields["exam"]) if fields.get("exam") else None
            recipe = Recipe(**fields.get("recipe", {}))
            return cls(**{**fields, "recipe": recipe, "exam": exam})
        except TypeError as error:
            raise ValueError(f"manifest: {error}") from error

    def to_json(self) -> str:
        """Return the manifest as JSON, as `from_json` reads it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Provenance:
    """The source of a training: see the fields of the same names in `Manifest`.

    `exam` has the rows that were held back.
    """

    dataset: str
    parent: int | None = None
    observations: IdRanges | None = None
    job: int | None = None
    exam: Exam | None = None
    why_no_exam: str | None = None


def describe(training: TrainingResult, dataset: Dataset, provenance: Provenance) -> Manifest:
    """Return the manifest of a training that is not published yet, with version 0."""
    off, on = dataset.levels
    return Manifest(
        version=0,
        parent=provenance.parent,
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        dataset=provenance.dataset,
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
        observations=provenance.observations,
        job=provenance.job,
        exam=examine(training.network, provenance.exam) if provenance.exam else None,
        why_no_exam=provenance.why_no_exam,
        tied_walks=training.tied_walks,
        threshold=THRESHOLD,
    )


def examine(network: Network, exam: Exam) -> ExamRecord:
    """Return the result of `network` in `exam`."""
    result = evaluate(network.scores(exam.dataset.lights), exam.dataset)
    return ExamRecord(exam.ids, result.right, result.squared_error, exam.digest())


def digest(network: Network) -> str:
    """Return the SHA-256, in hexadecimal, of the activation, the scale and the weights."""
    sha256 = hashlib.sha256(f"{network.activation} {network.scale!r}".encode())
    for name, matrix in network.named_weights.items():
        sha256.update(f" {name} {matrix.shape} ".encode())
        sha256.update(matrix.astype("<f8").tobytes())
    return sha256.hexdigest()
