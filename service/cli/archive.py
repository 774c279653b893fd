"""The commands that copy and reduce what is stored: export, backup, restore and prune."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from streetlight.model.registry.version_link import sync_folder
from streetlight.service.archive.archive_reader import ArchiveReader
from streetlight.service.archive.export import write_archive
from streetlight.service.archive.prune import remove_old, remove_old_predictions
from streetlight.service.archive.restore import restore_archive
from streetlight.service.archive.state import has_ledger
from streetlight.service.cli.group import fail, main
from streetlight.service.config.sources import load_settings
from streetlight.service.ledger.lost import check_none_lost
from streetlight.service.wiring import Services, build_services, initialize_ledger

FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@main.command()
@click.argument("file", type=FILE)
def export(file: Path) -> None:
    """Write everything that is stored to the archive FILE, or to standard output for `-`.

    A server and trainers may run: the archive has the state of one moment. It can be restored with
    another database: SQLite or PostgreSQL.
    """
    with ExitStack() as stack:
        services = stack.enter_context(_services())
        output = sys.stdout.buffer if str(file) == "-" else stack.enter_context(_new_file(file))
        manifest = write_archive(services, output)
    click.echo(f"exported {manifest.summary()}", err=True)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def backup(folder: Path) -> None:
    """Write an archive to a new file in FOLDER, read it again, and print its name.

    The name has the time, in UTC. See `streetlight export`.
    """
    file = folder / f"streetlight-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.zip"
    with _services() as services, _new_file(file) as output:
        manifest = write_archive(services, output)
        with ArchiveReader(output) as archive:
            archive.check()
    click.echo(f"{file}: {manifest.summary()}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore(file: Path) -> None:
    """Restore the archive FILE into an empty data directory or database.

    After an error or an interruption nothing is restored, and the command can be repeated. A job
    that was running is tried again.
    """
    settings = load_settings()
    with file.open("rb") as content, ArchiveReader(content) as archive:
        restore_archive(settings, archive)
        click.echo(f"restored {archive.manifest.summary()}")


@main.command()
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    help="How many of the newest versions, and of the newest jobs, to keep in any case.",
)
@click.option(
    "--keep-predictions",
    type=click.IntRange(min=0, max=2**63 - 1),
    help="How many of the newest predictions of the log to keep.",
    show_default="all",
)
@click.option("--dry-run", is_flag=True, help="Only list the versions and jobs.")
def prune(keep: int, keep_predictions: int | None, dry_run: bool) -> None:
    """Remove old versions and jobs that nothing else names, and list them.

    A version stays if it is or was live, or if a job, an observation or a logged prediction that
    stays names it; a job, if it hasn't ended, or if a version that stays or an idempotency key
    names it. Observations stay. A server and trainers may run.
    """
    with _services() as services:
        if keep_predictions is not None and not dry_run:
            count = remove_old_predictions(services, keep_predictions)
            click.echo(f"removed {count} predictions")
        found = remove_old(services, keep, dry_run=dry_run)
    action = "would remove" if dry_run else "removed"
    for name, numbers in found._asdict().items():
        listed = f": {', '.join(map(str, numbers))}" if numbers else ""
        click.echo(f"{action} {len(numbers)} {name}{listed}")


@contextmanager
def _services() -> Iterator[Services]:
    """Yield the services, whose database has the tables of this release if it has any.

    Without tables, a folder with versions is enough, unless they come from a database.
    """
    services = build_services(load_settings())
    try:
        if has_ledger(services.engine):
            initialize_ledger(services)
        elif not services.repository.versions():
            fail(
                f"nothing is stored in {services.settings.data_dir} and in the database; see "
                "STREETLIGHT_DATA_DIR and STREETLIGHT_DATABASE_URL",
                1,
            )
        else:
            check_none_lost(services.settings.models_dir, new_ledger=False)
        yield services
    finally:
        services.engine.dispose()


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a new file, which gets the name `path` when the block has ended without an error.

    A device such as /dev/stdout, or a pipe, isn't replaced: it is written.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as existing:
            yield existing
        return
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}-", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
    sync_folder(path.parent)
