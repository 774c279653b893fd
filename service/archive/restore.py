"""Restore an archive into an empty place: all of it or nothing.

With PostgreSQL, the transaction that creates the tables also inserts the rows. With SQLite,
everything is built in a folder of its own, and then moved to its place.
"""

import filecmp
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection, Engine

from streetlight.model.registry.file_lock import file_lock
from streetlight.model.registry.version_link import VersionLink, sync_folder
from streetlight.service.archive.archive_reader import TABLES, ArchiveReader
from streetlight.service.archive.manifest import ArchiveError
from streetlight.service.archive.rows import insert_ledger, insert_predictions, insert_versions
from streetlight.service.archive.state import (
    allow_pauses,
    database_file,
    is_shared,
    prediction_log_file,
    promotion,
)
from streetlight.service.config.settings import Settings
from streetlight.service.registry import rows
from streetlight.service.store.engine import open_engine, write_transaction
from streetlight.service.store.schema import LEDGER, PREDICTION_LOG, create_tables, upgrade
from streetlight.service.store.tables import (
    observations,
    predictions,
    promotions,
)

# Begins the name of a folder in which an archive is restored.
WORK_FOLDER = ".restoring-"


class NotEmptyError(Exception):
    """Something is stored already where an archive should be restored."""


def restore_archive(settings: Settings, archive: ArchiveReader) -> None:
    """Restore an archive to where `settings` say; after an error, nothing is there.

    Each member is checked before anything becomes visible. Columns that an archive of an older
    release lacks get their defaults.

    Raises:
        ArchiveError: the archive is damaged, or of a newer release.
        NotEmptyError: something is stored there.
        DBAPIError, LockedError, OSError: the database or the folder can't be used.
    """
    if archive.manifest.schema > int(LEDGER.revision):
        raise ArchiveError(
            f"the archive has tables of revision {archive.manifest.schema}, this release knows "
            f"those up to {int(LEDGER.revision)}; use release {archive.manifest.release} or a "
            "later one"
        )
    for name, content in archive.manifest.tables.items():
        columns = {column.name: column for column in TABLES[name].columns} if name in TABLES else {}
        if unknown := set(content.columns) - columns.keys():
            raise ArchiveError(
                f"the archive has columns of {name} that this release doesn't know "
                f"({', '.join(sorted(unknown))}); use release {archive.manifest.release} or a "
                "later one"
            )
        needed = {c.name for c in columns.values() if not c.nullable and c.server_default is None}
        if missing := needed - set(content.columns):
            raise ArchiveError(f"the archive is damaged: {name} lacks {', '.join(sorted(missing))}")
    if promotions.name not in archive.manifest.tables:
        raise ArchiveError(f"the archive is damaged: it has no {promotions.name}")
    with _open_database(settings.database) as engine:
        if is_shared(engine):
            _restore_rows(settings, engine, archive)
        else:
            _restore_files(settings, database_file(engine), archive)


def _restore_rows(settings: Settings, engine: Engine, archive: ArchiveReader) -> None:
    def fill(connection: Connection) -> None:
        allow_pauses(connection)
        insert_ledger(connection, archive)
        insert_versions(connection, archive)
        if (state := rows.read_state(connection)).live and not state.sha256:
            raise ArchiveError(
                f"the archive lacks version {state.live}, which is live: no host could fetch it; "
                "make another version live before the export"
            )
        if predictions.name in archive.manifest.tables:
            create_tables(connection, PREDICTION_LOG)
            insert_predictions(connection, archive)

    if upgrade(engine, LEDGER, settings.data_dir, fill) is not None:
        raise NotEmptyError(
            f"expected an empty database, got {engine.url.database} with tables; create another "
            "one, and name it with STREETLIGHT_DATABASE_URL"
        )


def _restore_files(settings: Settings, database: Path, archive: ArchiveReader) -> None:
    data_dir, tables = settings.data_dir, archive.manifest.tables
    with ExitStack() as stack:
        stack.enter_context(file_lock(data_dir / ".restore.lock"))
        folders = [data_dir, database.parent]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(f"{WORK_FOLDER}*"):
                shutil.rmtree(leftover)  # of a restore that was killed
        built, built_database = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=WORK_FOLDER, dir=folder)))
            for folder in folders
        )
        _write_folder(built / "models", archive)
        moves = [(built / "models", settings.models_dir)]
        if predictions.name in tables:
            moves.append((built / "predictions.db", prediction_log_file(settings)))
            with _open_database(f"sqlite:///{built / 'predictions.db'}") as engine:
                upgrade(engine, PREDICTION_LOG, built)
                with write_transaction(engine) as connection:
                    insert_predictions(connection, archive)
        if observations.name in tables:
            moves.append((built_database / "streetlight.db", database))
            with _open_database(f"sqlite:///{built_database / 'streetlight.db'}") as engine:
                upgrade(engine, LEDGER, built, lambda new: insert_ledger(new, archive))
        # Under the lock of those that create a database.
        stack.enter_context(file_lock(data_dir / ".schema.lock"))
        _move(moves, database)


@contextmanager
def _open_database(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()  # of SQLite, the last connection that is closed leaves one file


def _write_folder(models: Path, archive: ArchiveReader) -> None:
    """Write the versions, the promotion log and the links as `ModelRepository` has them."""
    models.mkdir()
    for number in archive.manifest.versions:
        _write(models / f"{number}.npz", archive.version(number))
    log = [promotion(row) for batch in archive.batches(promotions.name) for row in batch]
    _write(
        models / "promotions.jsonl",
        "".join(json.dumps(asdict(entry)) + "\n" for entry in log).encode(),
    )
    if archive.manifest.newest:
        VersionLink(models / "newest").point(f"{archive.manifest.newest}.npz")
    if log and log[-1].action != "unload":
        VersionLink(models / "live").point(f"{log[-1].version}.npz")


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move(moves: list[tuple[Path, Path]], database: Path) -> None:
    """Move what is built to its place, the database last.

    Until then, the folder has versions that name jobs, and no service starts a ledger beside them.
    A restore that was interrupted in between is repeated: then the folder has these versions.
    """
    (built_models, models), *files = moves
    taken = [path for path in {target for _, target in moves} | {database} if _has_content(path)]
    if taken and database not in taken and _same_content(built_models, models):
        moves = files
    elif taken:
        names = ", ".join(sorted(map(str, taken)))
        raise NotEmptyError(
            f"expected an empty place, got {names}; choose another one with STREETLIGHT_DATA_DIR"
        )
    for built, target in moves:
        _remove_leftovers(target)
        built.replace(target)
        sync_folder(target.parent)


def _has_content(path: Path) -> bool:
    if path.is_dir():
        return any(not entry.name.startswith(".") for entry in path.iterdir())
    return path.exists() and path.stat().st_size > 0


def _same_content(built: Path, folder: Path) -> bool:
    """Return whether a folder has the same files and links as the one that was built."""
    names = {entry.name for entry in built.iterdir()}
    return names == {e.name for e in folder.glob("[!.]*")} and all(
        (folder / name).readlink() == (built / name).readlink()
        if (built / name).is_symlink()
        else filecmp.cmp(built / name, folder / name, shallow=False)
        for name in names
    )


def _remove_leftovers(target: Path) -> None:
    """Remove the locks of an empty folder, or the log of a SQLite file that is gone."""
    if target.is_dir():
        shutil.rmtree(target)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
