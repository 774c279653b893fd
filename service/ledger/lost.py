"""Find out from the versions whether the database that has no ledger once had one."""

from contextlib import suppress
from pathlib import Path

from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.store.schema import SchemaError


def check_none_lost(models_dir: Path, *, new_ledger: bool) -> None:
    """Check that no version in the folder comes from a database.

    Versions of the training job need none. With `new_ledger`, those of retraining jobs may stay
    without one, but not the copies from a database that hosts share, whose names have a digest.

    Raises:
        SchemaError: a version does; the message names it, and what to do.
    """
    for path in sorted(models_dir.glob("*.npz")):
        name = f"{models_dir.name}/{path.name}"
        if "-" in path.stem:
            raise SchemaError(
                f"it is empty, but {name} is a copy from a database; restore a backup of that "
                "database, or start with an empty data directory"
            )
        with suppress(VersionDamagedError, FileNotFoundError):
            manifest = Version.load(path).manifest
            if not new_ledger and (manifest.job is not None or manifest.dataset == "ledger"):
                raise SchemaError(
                    f"it is empty, but {name} was trained by a job of a database; restore a backup "
                    "of that database, or run `streetlight db upgrade --new-ledger` to start with "
                    "an empty one"
                )
