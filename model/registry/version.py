"""`Version`: a trained network with its training data and manifest, as an `.npz` file.

This module writes, reads and checks the file. Numbering versions and the live version are in
`repository`, training a version again from its file in `reproduction`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, repeat
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.exam import MAX_EXAM, Exam
from streetlight.model.id_ranges import size
from streetlight.model.network import Network, weight_names
from streetlight.model.registry.manifest import Manifest, digest
from streetlight.model.training.fit import TrainingResult

# Limits of what is unpacked from a file. The largest network of a recipe has 7.4 million weights
# for 64 lights; a manifest is as long as its list of observation ids.
MAX_WEIGHTS = 2**23
MAX_MANIFEST_BYTES = 2**26
MAX_HEADER_BYTES = 2**14


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
            return _floats(file, "errors", self.manifest.recipe.iterations)

    def dataset(self) -> Dataset:
        """Return the training data, read from the file.

        Raises:
            VersionDamagedError: the training data can't be read from the file.
        """
        with _opened(self.path) as file:
            rows, lights = self.manifest.rows, self.manifest.lights
            return Dataset(
                _floats(file, "lights", rows * lights),
                _floats(file, "walk_vs_stop", rows),
                _read(file, "counts", rows),
            )

    def exam(self) -> Exam | None:
        """Return the observations that were held back, read from the file; `None` without any.

        Raises:
            VersionDamagedError: the observations can't be read from the file.
        """
        record = self.manifest.exam
        if record is None:
            return None
        with _opened(self.path) as file:
            if (rows := size(record.observations)) > MAX_EXAM:
                raise ValueError(f"exam: expected at most {MAX_EXAM} observations, got {rows}")
            lights = _floats(file, "exam_lights", rows * self.manifest.lights)
            return Exam(
                record.observations, Dataset(lights, _floats(file, "exam_walk_vs_stop", rows))
            )

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
            manifest = Manifest.from_json(str(_read(file, "manifest", MAX_MANIFEST_BYTES // 8)))
            recipe = manifest.recipe
            expected = (manifest.lights, *recipe.hidden_sizes)
            sizes = _matrix_sizes(expected)
            names = weight_names(len(sizes))
            network = Network(
                tuple(map(_floats, repeat(file), names, sizes)),
                recipe.activation,
                float(_floats(file, "scale", 1)),
            )
            found = (network.light_count, *network.hidden_sizes)
            if found != expected:
                raise ValueError(f"expected weights for layers {expected}, got {found}")
            if (sha256 := digest(network)) != manifest.sha256:
                raise ValueError(f"expected a network of sha256 {manifest.sha256}, got {sha256}")
            return cls(path, manifest, network)


def write(
    file: IO[bytes],
    number: int,
    manifest: Manifest,
    training: TrainingResult,
    dataset: Dataset,
    *,
    exam: Exam | None,
) -> None:
    """Write version `number` to `file` in the format that `Version.load` reads.

    Raises:
        ValueError: the network has more weights than `Version.load` accepts.
    """
    _matrix_sizes((training.network.light_count, *training.network.hidden_sizes))
    arrays: dict[str, Any] = dict(training.network.named_weights)
    if exam:
        arrays |= {
            "exam_lights": exam.dataset.lights,
            "exam_walk_vs_stop": exam.dataset.walk_vs_stop,
        }
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


def read_manifest(path: Path, file: IO[bytes] | None = None) -> Manifest:
    """Return the manifest in the file at `path`, or in `file`, which a message calls `path`.

    Nothing else of the version is checked.

    Raises:
        FileNotFoundError: there is no file at `path`.
        VersionDamagedError: the file has no valid manifest.
    """
    with _opened(path, file) as opened:
        return Manifest.from_json(str(_read(opened, "manifest", MAX_MANIFEST_BYTES // 8)))


@contextmanager
def _opened(path: Path, file: IO[bytes] | None = None) -> Iterator[ZipFile]:
    """Open an `.npz`; any error inside the block but FileNotFoundError is VersionDamagedError."""
    try:
        with ZipFile(file or path) as opened:
            yield opened
    except FileNotFoundError:
        raise
    except OSError as error:
        raise VersionDamagedError(f"{path.name}: {error.strerror or error}") from error
    except Exception as error:  # a damaged zip raises anything from KeyError to MemoryError
        raise VersionDamagedError(f"{path.name}: {error}") from error


def _matrix_sizes(layers: Sequence[int]) -> list[int]:
    """Return the number of weights of each matrix between the layers and the output.

    Raises:
        ValueError: they are more than `MAX_WEIGHTS`.
    """
    sizes = [inputs * nodes for inputs, nodes in pairwise([*layers, 1])]
    if sum(sizes) > MAX_WEIGHTS:
        raise ValueError(f"expected a network of at most {MAX_WEIGHTS} weights, got {sum(sizes)}")
    return sizes


def _read(file: ZipFile, name: str, max_size: int) -> NDArray[Any]:
    """Return an array of at most `max_size` numbers of 8 bytes.

    The size is checked before the array is unpacked, so a small file can't fill the memory.
    """
    member, limit = file.getinfo(f"{name}.npy"), 8 * max_size + MAX_HEADER_BYTES
    if member.file_size > limit:
        raise ValueError(f"{name}: expected at most {limit} bytes, got {member.file_size}")
    with file.open(member) as unpacked:
        array: NDArray[Any] = npy.read_array(unpacked, allow_pickle=False)
        return array


def _floats(file: ZipFile, name: str, max_size: int) -> FloatArray:
    array = _read(file, name, max_size)
    if array.dtype != np.float64:
        raise ValueError(f"{name}: expected float64, got {array.dtype}")
    return array
