"""`Version`: a trained network with its training data and manifest, as an `.npz` file.

This module writes, reads and checks the file. Numbering versions and the live version are in
`repository`, training a version again from its file in `reproduction`.
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
    """A version file or the live link is invalid; the message names the file and the reason.

    The message is part of responses, so it doesn't name the folder.
    """


@dataclass(frozen=True, eq=False)
class Version:
    """A loaded version. The network is in memory; the training data is read on request."""

    path: Path
    manifest: Manifest
    network: Network

    @property
    def number(self) -> int:
        """The number of the version, from 1."""
        return self.manifest.version

    @cached_property
    def errors(self) -> FloatArray:
        """The error of each pass of the best run, shape (iterations,), read from the file.

        Raises:
            VersionDamagedError: the errors can't be read from the file.
        """
        with _opened(self.path) as file:
            return _floats(file, "errors")

    def dataset(self) -> Dataset:
        """Return the training data, read from the file.

        Raises:
            VersionDamagedError: the training data can't be read from the file.
        """
        with _opened(self.path) as file:
            return Dataset(_floats(file, "lights"), _floats(file, "walk_vs_stop"), file["counts"])

    @classmethod
    def load(cls, path: Path) -> "Version":
        """Return the version in the file at `path`, with its network checked against the manifest.

        The check covers the format, dtypes, shapes, values and the digest of the network, but not
        the errors and the training data.

        Raises:
            FileNotFoundError: there is no file at `path`.
            VersionDamagedError: the file is not a valid version.
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
            expected = (manifest.lights, *recipe.hidden_sizes)
            if sizes != expected:
                raise ValueError(f"expected weights for layers {expected}, got {sizes}")
            if (sha256 := digest(network)) != manifest.sha256:
                raise ValueError(f"expected a network of sha256 {manifest.sha256}, got {sha256}")
            return cls(path, manifest, network)


def write(
    file: IO[bytes], number: int, manifest: Manifest, training: TrainingResult, dataset: Dataset
) -> None:
    """Write version `number` to `file` in the format that `Version.load` reads."""
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
    """Open an `.npz`; any error inside the block but FileNotFoundError is VersionDamagedError."""
    try:
        # Open the file here, because np.load doesn't close a file that is not a zip.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise VersionDamagedError(f"{path.name}: {error.strerror or error}") from error
    except Exception as error:  # a damaged zip raises anything from KeyError to MemoryError
        raise VersionDamagedError(f"{path.name}: {error}") from error


def _floats(file: Mapping[str, Any], name: str) -> FloatArray:
    array: FloatArray = file[name]
    if array.dtype != np.float64:
        raise ValueError(f"{name}: expected float64, got {array.dtype}")
    return array
