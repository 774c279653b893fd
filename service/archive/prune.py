"""Remove versions, jobs and logged predictions that are old, and that nothing else names.

`references` finds them.
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, delete, func, select

from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.version import VersionDamagedError, read_manifest
from streetlight.model.registry.version_link import sync_folder
from streetlight.service.archive.references import Entries, Links, find_removable
from streetlight.service.archive.state import has_ledger, prediction_log_engine
from streetlight.service.prediction_log.storage import delete_oldest
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import (
    PREDICTION_LOG_LOCK,
    WRITE_LOCK,
    ordered_write_transaction,
)
from streetlight.service.store.tables import job_rows, jobs, versions
from streetlight.service.wiring import Services

# Rows that a statement deletes.
BATCH_SIZE = 1000


def remove_old(services: Services, keep: int, *, dry_run: bool) -> Entries:
    """Remove what `find_removable` finds, unless this is a dry run, and return it.

    A process that is killed meanwhile leaves at most versions that the next call removes.

    Raises:
        DBAPIError, LockedError, OSError: the database or the folder can't be changed.
    """
    if isinstance(services.repository, SharedRepository):
        return _prune_rows(services, services.repository, keep, dry_run=dry_run)
    return _prune_folder(services, keep, dry_run=dry_run)


def remove_old_predictions(services: Services, keep: int) -> int:
    """Delete the oldest predictions of the log beyond `keep`, and return how many.

    Raises:
        DBAPIError: the database can't be changed.
    """
    count = 0
    with prediction_log_engine(services) as engine:
        while engine is not None:
            with ordered_write_transaction(engine, PREDICTION_LOG_LOCK) as connection:
                deleted = delete_oldest(connection, BATCH_SIZE, keep, math.inf)
            count += deleted
            if deleted < BATCH_SIZE:
                break
    return count


def _prune_rows(
    services: Services, repository: SharedRepository, keep: int, *, dry_run: bool
) -> Entries:
    """Remove rows; each host then removes its copies of them."""
    with repository.transaction() as connection:
        connection.execute(func.pg_advisory_xact_lock(WRITE_LOCK).select())
        # The parent of a version was live before it, so that a promotion names it.
        query = select(versions.c.number, versions.c.job)
        links = {number: Links(None, job) for number, job in connection.execute(query).all()}
        log = rows.read_promotions(connection)
        found = _find(services, keep, links, log, connection)
        if not dry_run:
            _delete(connection, jobs.c.id, found.jobs)
            _delete(connection, job_rows.c.job, found.jobs)
            _delete(connection, versions.c.number, found.versions)
    repository.follow()
    return found


def _prune_folder(services: Services, keep: int, *, dry_run: bool) -> Entries:
    """Remove jobs, and then files: no job names a version that was removed."""
    repository, engine = services.repository, services.engine

    @cache
    def links_of(number: int) -> Links:
        try:
            manifest = read_manifest(repository.path(number))
        except (FileNotFoundError, VersionDamagedError):
            return Links()
        return Links(manifest.parent, manifest.job)

    for number in repository.versions():
        links_of(number)  # before the locks, for which others wait
    with repository.lock("prune"), repository.promoting():
        links = {number: links_of(number) for number in repository.versions()}
        ledger = ordered_write_transaction(engine) if has_ledger(engine) else nullcontext()
        with ledger as connection:
            found = _find(services, keep, links, repository.promotions(), connection)
            if connection is not None and not dry_run:
                _delete(connection, jobs.c.id, found.jobs)
                _delete(connection, job_rows.c.job, found.jobs)
        if found.versions and not dry_run:
            for number in found.versions:
                repository.path(number).unlink(missing_ok=True)
            sync_folder(repository.folder)
    return found


def _find(
    services: Services,
    keep: int,
    links: Mapping[int, Links],
    log: Iterable[Promotion],
    ledger: Connection | None,
) -> Entries:
    with prediction_log_engine(services) as engine:
        if engine is None:
            return find_removable(keep, links, log, ledger, None)
        with engine.connect() as predictions:
            return find_removable(keep, links, log, ledger, predictions)


def _delete(connection: Connection, column: Column[Any], numbers: list[int]) -> None:
    for start in range(0, len(numbers), BATCH_SIZE):
        batch = numbers[start : start + BATCH_SIZE]
        connection.execute(delete(column.table).where(column.in_(batch)))
