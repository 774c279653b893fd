"""A version: one trained network with all that it came from, as an `.npz` file.

How the file is written, and every check before one is believed. Which versions there are and which
is live is in `repository`; training one again from its file, in `reproduce`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.network import Network, weight_names
from streetlight.model.registry.manifest import Manifest, digest
from streetlight.model.training.fit import TrainingResult


class VersionDamagedError(Exception):
    """The file is not a whole version; the message says which file and what is wrong with it."""


@dataclass(frozen=True, eq=False)
class Version:
    """A loaded version: what predictions need is in memory, what it learnt from stays on disk."""

    path: Path
    manifest: Manifest
    network: Network

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.manifest.version

    @cached_property
    def errors(self) -> FloatArray:
        """The error of each pass of its training, shape (iterations,).

        Raises:
            VersionDamagedError: the file no longer holds it.
        """
        with _opened(self.path) as file:
            return _floats(file, "errors")

    def dataset(self) -> Dataset:
        """Read the data that it was trained on.

        Raises:
            VersionDamagedError: the file no longer holds it.
        """
        with _opened(self.path) as file:
            return Dataset(_floats(file, "lights"), _floats(file, "walk_vs_stop"), file["counts"])

    @classmethod
    def load(cls, path: Path) -> "Version":
        """Read a version and check it: format, dtypes, shapes that chain, values, digest.

        Raises:
            FileNotFoundError: there is no such file.
            VersionDamagedError: it is not a whole version.
        """
        with _opened(path) as file:
            manifest = Manifest.from_json(str(file["manifest"]))
            recipe = manifest.recipe
            names = weight_names(len(recipe.hidden_sizes) + 1)
            network = Network(
                tuple(_floats(file, name) for name in names),
                recipe.activation,
                float(_floats(file, "scale")),
            )
            sizes = (network.light_count, *network.hidden_sizes)
            if sizes != (manifest.lights, *recipe.hidden_sizes):
                raise ValueError(f"its weights are for layers {sizes}, its manifest says otherwise")
            if digest(network) != manifest.sha256:
                raise ValueError("the sha256 of its weights is not the one in its manifest")
            return cls(path, manifest, network)


def write(
    file: IO[bytes], number: int, manifest: Manifest, training: TrainingResult, dataset: Dataset
) -> None:
    """Write version `number` to `file`; what `Version.load` reads."""
    arrays: Mapping[str, Any] = training.network.named_weights
    np.savez_compressed(
        file,
        manifest=np.array(replace(manifest, version=number).to_json()),
        scale=np.array(training.network.scale),
        errors=training.errors,
        lights=dataset.lights,
        walk_vs_stop=dataset.walk_vs_stop,
        counts=dataset.counts,
        **arrays,
    )


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open an `.npz`; whatever goes wrong with it inside the block is a `VersionDamagedError`."""
    try:
        # Opened here, since np.load leaves a file that is no zip open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged zip raises anything from KeyError to MemoryError
        raise VersionDamagedError(f"{path}: {error}") from error


def _floats(file: Mapping[str, Any], name: str) -> FloatArray:
    array: FloatArray = file[name]
    if array.dtype != np.float64:
        raise ValueError(f"{name}: expected float64, got {array.dtype}")
    return array
