"""`ArchiveReader`: reads an archive, and checks each member; `manifest` has its format."""

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, Annotated, Any, Self

from pydantic import Field, Strict, TypeAdapter, ValidationError

from streetlight.service.archive.manifest import (
    FORMAT,
    MANIFEST,
    ArchiveError,
    Manifest,
    version_name,
)
from streetlight.service.archive.state import ARCHIVED
from streetlight.service.store.tables import predictions, promotions
from streetlight.service.validation.fields import Text
from streetlight.service.validation.problems import problems

# Rows that are inserted at a time, unless they have more bytes.
BATCH_SIZE = 1000
BATCH_BYTES = 1024 * 1024
# A row has at most the body of a request. A small member may contain a line of gigabytes.
MAX_LINE_BYTES = 256 * 1024 * 1024

TABLES = {table.name: table for table in (*ARCHIVED, promotions, predictions)}
# Both databases can store these, and only these.
_TYPES = {
    int: Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)],
    float: Annotated[float, Strict(), Field(allow_inf_nan=False)],
    bool: Annotated[bool, Strict()],
    str: Annotated[Text, Strict()],
}

_manifest = TypeAdapter(Manifest)


class ArchiveReader:
    """Reads the archive in `file`; each method that reads a member checks it.

    Raises:
        ArchiveError: the file is no archive, is damaged, or is of a newer release.
    """

    def __init__(self, file: IO[bytes]) -> None:
        with _reading("it is not a complete archive"):
            self._zip = zipfile.ZipFile(file)
        with _reading(MANIFEST):
            text = self._zip.read(MANIFEST)
            fields = json.loads(text)
            if (found := fields["format"]) != FORMAT:
                raise ArchiveError(
                    f"the archive has format {found}, this release reads format {FORMAT}; "
                    f"use release {fields['release']} or a later one"
                )
            self.manifest = _manifest.validate_json(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._zip.close()

    def batches(self, name: str) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a table in lists; those of the last list are checked, too.

        Raises:
            ArchiveError: after the last list, if the rows aren't those that were written.
        """
        table, sha256, count = self.manifest.tables[name], hashlib.sha256(), 0
        with _reading(f"{name}.jsonl"), self._zip.open(f"{name}.jsonl") as member:
            row_type = _rows_of(name, tuple(table.columns))
            while lines := _read_lines(member):
                try:
                    values = row_type.validate_json(b"[%b]" % b",".join(lines))
                except ValidationError as error:
                    raise ArchiveError(_describe(name, table.columns, count, error)) from None
                rows = [dict(zip(table.columns, row, strict=True)) for row in values]
                sha256.update(b"".join(lines))
                count += len(rows)
                yield rows
        _require_equal(f"{name}.jsonl", (table.rows, table.sha256), (count, sha256.hexdigest()))

    def version(self, number: int) -> bytes:
        """Return the file of a version."""
        name = version_name(number)
        with _reading(name):
            content = self._zip.read(name)
        _require_equal(name, self.manifest.versions[number], hashlib.sha256(content).hexdigest())
        return content

    def check(self) -> None:
        """Read and check every member."""
        for name in self.manifest.tables:
            for _ in self.batches(name):
                pass
        for number in self.manifest.versions:
            self.version(number)


@cache
def _rows_of(table: str, columns: tuple[str, ...]) -> TypeAdapter[list[tuple[Any, ...]]]:
    """Return what checks rows of a table in JSON."""
    types: list[Any] = []
    for column in (TABLES[table].columns[name] for name in columns):
        of_column = _TYPES[column.type.python_type]
        types.append(of_column | None if column.nullable else of_column)
    return TypeAdapter(list[tuple[*types]])  # type: ignore[valid-type]


def _describe(table: str, columns: list[str], before: int, error: ValidationError) -> str:
    """Return a sentence with the line and the column of an error; `before` lines were read."""
    name, where = f"{table}.jsonl", error.errors()[0]["loc"]
    if where:
        name += f": line {before + int(where[0]) + 1}"
    if len(where) > 1 and int(where[1]) < len(columns):
        name += f": {columns[int(where[1])]}"
    return f"the archive is damaged: {name}: {problems(error)[0].message}"


def _read_lines(member: IO[bytes]) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    while len(lines) < BATCH_SIZE and size < BATCH_BYTES:
        if not (line := member.readline(MAX_LINE_BYTES)):
            break
        lines.append(line)
        size += len(line)
    return lines


def _require_equal(name: str, expected: object, found: object) -> None:
    if expected != found:
        raise ArchiveError(f"the archive is damaged: {name}: expected {expected}, got {found}")


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Raise `ArchiveError` instead of the errors that a damaged ZIP file can cause."""
    try:
        yield
    except ValidationError as error:
        raise ArchiveError(f"the archive is damaged: {name}: {problems(error)[0]}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        LookupError,
        MemoryError,  # a small member may contain gigabytes
        OSError,  # also for an offset below 0
        RuntimeError,  # also for a compression that doesn't exist
        TypeError,
        ValueError,
    ) as error:
        raise ArchiveError(f"the archive is damaged: {name}: {error}") from error
