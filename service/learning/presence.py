"""Which trainers run: each touches a file of its own in the data directory.

No row of the database, because an idle trainer would then write to it all the time.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Seconds between two updates of the file of a trainer.
INTERVAL = 1.0
# Seconds after which the file of a trainer that was killed is removed.
MAX_AGE = 3600.0


def create(data_dir: Path, owner: str) -> Path:
    """Return the file of the trainer `owner`; remove those of trainers that are long gone."""
    folder = data_dir / "trainers"
    with suppress(OSError):  # of a full disk: the trainer works all the same
        folder.mkdir(exist_ok=True)
        for file, age in _ages(folder):
            if age > MAX_AGE:
                file.unlink(missing_ok=True)
    return folder / owner


def recent(data_dir: Path, lease: float) -> set[str]:
    """Return the owners whose trainers were heard from recently, of those with this data directory.

    A trainer is heard from after each pass of a training, and a pass takes less than the lease.
    """
    files = _ages(data_dir / "trainers")
    return {file.name for file, age in files if age < lease + 2 * INTERVAL}


def _ages(folder: Path) -> Iterator[tuple[Path, float]]:
    for file in folder.glob("*"):
        with suppress(FileNotFoundError):
            yield file, time.time() - file.stat().st_mtime
