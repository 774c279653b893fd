"""Tests of verification in a separate process: its time limit, and one verification at a time."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import fit
from streetlight.service.versions.verification import VerificationBusyError, verify

pytestmark = pytest.mark.process


@pytest.fixture
def slow(tmp_path: Path) -> Version:
    """A version whose recipe takes very long to train again."""
    repository = ModelRepository(tmp_path)
    path = repository.publish(fit(LAB, Recipe()), LAB, Provenance("lab")).path
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    manifest = json.loads(str(arrays["manifest"]))
    manifest["recipe"] |= {"iterations": 1_000_000, "target_error": 0.0, "restarts": 1000}
    path.unlink()
    np.savez(path, **(arrays | {"manifest": json.dumps(manifest)}))
    return repository.load(1)


def test_a_verification_has_a_time_limit(slow: Version) -> None:
    with pytest.raises(VerificationBusyError, match=r"longer than 0\.1 s; `streetlight verify 1`"):
        verify(slow, seconds=0.1)


def test_a_second_verification_is_refused(slow: Version) -> None:
    def hold() -> None:
        with pytest.raises(VerificationBusyError):
            verify(slow, seconds=1)

    first = threading.Thread(target=hold)
    first.start()

    refused = ""
    while "another verification is running" not in refused:
        assert first.is_alive()
        with pytest.raises(VerificationBusyError) as caught:
            verify(slow, seconds=0.01)
        refused = str(caught.value)
    first.join(30)
