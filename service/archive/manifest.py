"""`Manifest`: what an archive, a ZIP file, contains.

    observations.jsonl …      the tables, a row in each line, in the order of their keys
    versions/1.npz …          the version files as they are
    manifest.json             what the members contain, with their digests

Equal content makes equal bytes, if both are files. `archive_writer` and `archive_reader` write and
read it; `export` and `restore` say where the content is stored.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

FORMAT = 1
MANIFEST = "manifest.json"
Number = Annotated[int, Field(ge=0, lt=10**9)]


class ArchiveError(Exception):
    """The archive is damaged, or of a newer release."""


@dataclass(frozen=True)
class TableContent:
    """The columns and the number of the rows of a table, and the SHA-256 of its member."""

    columns: list[str]
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an archive contains.

    Attributes:
        release: the release of Streetlight that wrote the archive.
        schema: the revision of the tables of observations and jobs.
        newest: the highest number that was given to a version.
        last_prediction: the highest id that was given to a prediction in the log.
        tables: the tables by name.
        versions: the SHA-256 of each version's file, by number.
        format: the format of the archive.
    """

    release: str
    schema: int
    newest: Number
    last_prediction: Annotated[int, Field(ge=0, lt=2**63 - 1)]
    tables: dict[str, TableContent]
    versions: dict[Annotated[Number, Field(ge=1)], str]
    format: int = FORMAT

    def summary(self) -> str:
        """Return how much of everything there is."""
        counts = {name: table.rows for name, table in self.tables.items()}
        shown = ("observations", "jobs", "promotions", "predictions")
        parts = [f"{len(self.versions)} versions"]
        return ", ".join(parts + [f"{counts[name]} {name}" for name in shown if name in counts])


def version_name(number: int) -> str:
    """Return the name of the member with the file of a version."""
    return f"versions/{number}.npz"
