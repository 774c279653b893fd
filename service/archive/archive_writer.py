"""`ArchiveWriter`: writes an archive, a member at a time; `manifest` has its format."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from importlib.metadata import version as release_of
from typing import IO, Any, Self

from streetlight.service.archive.manifest import MANIFEST, Manifest, TableContent, version_name
from streetlight.service.store.schema import LEDGER


class ArchiveWriter:
    """Writes an archive to `file`, which need not be seekable; `complete` adds the manifest.

    `restore` refuses an archive without one, such as after an error in the `with` block.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w")
        self._tables: dict[str, TableContent] = {}
        self._versions: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # The file may be closed or full, of which the error tells.
        with suppress(OSError, ValueError) if any(error) else nullcontext():
            self._zip.close()

    def add_table(
        self, name: str, columns: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]]
    ) -> None:
        """Add the rows of a table, which have a value for each of `columns`."""
        sha256, count = hashlib.sha256(), 0
        with self._member(f"{name}.jsonl", zipfile.ZIP_DEFLATED) as member:
            for batch in batches:
                lines = "".join(json.dumps(list(row)) + "\n" for row in batch).encode()
                sha256.update(lines)
                count += len(batch)
                member.write(lines)
        self._tables[name] = TableContent(list(columns), count, sha256.hexdigest())

    def add_version(self, number: int, content: bytes) -> None:
        """Add the file of a version."""
        with self._member(version_name(number), zipfile.ZIP_STORED) as member:
            member.write(content)
        self._versions[number] = hashlib.sha256(content).hexdigest()

    def complete(self, newest: int, last_prediction: int) -> Manifest:
        """Add the manifest, and return it."""
        manifest = Manifest(
            release_of("streetlight"),
            int(LEDGER.revision),
            newest,
            last_prediction,
            self._tables,
            self._versions,
        )
        with self._member(MANIFEST, zipfile.ZIP_DEFLATED) as member:
            member.write(json.dumps(asdict(manifest), indent=1).encode())
        return manifest

    def _member(self, name: str, compression: int) -> IO[bytes]:
        info = zipfile.ZipInfo(name)  # with the same date in all archives
        info.compress_type = compression
        return self._zip.open(info, "w", force_zip64=True)
