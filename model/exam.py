"""`Exam`: the observations of a ledger that a training holds back, to judge its result.

`evaluation` computes how a network decides them. `registry.version` stores them in the file of the
version, and `service.ledger.training_set` selects them.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from streetlight.model.dataset import Dataset
from streetlight.model.id_ranges import IdRanges, expand, size, subtract

# The number of observations that is enough, and the number beyond which more show little.
MIN_EXAM = 30
MAX_EXAM = 10_000


@dataclass(frozen=True, eq=False)
class Exam:
    """Observations that a training didn't learn from.

    Attributes:
        ids: their ids in the ledger.
        dataset: a row for each observation, in the order of the ids; outcomes are 0 or 1.

    Raises:
        ValueError: the number of ids is that of another dataset.
    """

    ids: IdRanges
    dataset: Dataset

    def __post_init__(self) -> None:
        if size(self.ids) != len(self.dataset):
            raise ValueError(
                f"expected a row for each of {size(self.ids)} ids, got {len(self.dataset)}"
            )

    def without(self, learnt: IdRanges) -> "Exam | None":
        """Return the exam without the observations in `learnt`; `None` if none is left."""
        ids = subtract(self.ids, learnt)
        if not ids:
            return None
        kept = np.isin(expand(self.ids), expand(ids))
        data = self.dataset
        return Exam(ids, Dataset(data.lights[kept], data.walk_vs_stop[kept]))

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the ids, the lights and the outcomes."""
        sha256 = hashlib.sha256(f"{self.dataset.lights.shape}".encode())
        for array in (expand(self.ids), self.dataset.lights, self.dataset.walk_vs_stop):
            sha256.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return sha256.hexdigest()
