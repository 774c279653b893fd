"""Give a database without versions its first ones: those of the folder, or a new training.

Releases before the tables of versions kept the versions in the folder, also with PostgreSQL.
"""

import logging
from contextlib import suppress

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import VersionDamagedError, read_manifest
from streetlight.model.training.fit import fit
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.schema import SchemaError

log = logging.getLogger(__name__)


def add_first_version(repository: SharedRepository) -> None:
    """If the database has no versions, add those of the folder, or else the lab's; and copy them.

    Any number of hosts may call this at the same time: the first one adds its versions. Where the
    ledger names versions, it never trains the lab's in their place.

    Raises an error as `SharedRepository.follow` does.
    """
    add_folder(repository)
    if _is_new(repository):
        _train(repository)
    repository.follow()


def add_folder(repository: SharedRepository) -> None:
    """If the database has no versions, insert those of the folder, and their promotions.

    A version keeps its job if the database has that job, and not if the
    database is another one than that which the versions were trained with.
    """
    former = ModelRepository(repository.folder)
    if not _is_new(repository) or not former.versions():
        return
    with former.promoting():
        pass  # a promotion that a crash kept out of the log is in it now
    with repository.transaction() as connection:
        if rows.read_state(connection).newest:
            return
        published, interrupted = rows.read_jobs(connection)
        for number in former.versions():
            job = published.get(number)
            with suppress(VersionDamagedError):
                # It may have published two versions; the second was never promoted.
                if (found := read_manifest(former.path(number)).job) in interrupted:
                    interrupted.remove(job := found)
            rows.insert_version(connection, number, job, former.path(number).read_bytes())
        rows.insert_promotions(connection, former.promotions())
    log.info("the database has %d versions of the folder", len(former.versions()))


def _is_new(repository: SharedRepository) -> bool:
    """Return whether neither the database has versions nor the folder copies of any."""
    return not repository.newest_number() and not repository.versions()


def _train(repository: SharedRepository) -> None:
    with repository.engine.connect() as connection:
        named = rows.newest_named(connection)
        if named and not rows.read_state(connection).newest:
            raise SchemaError(
                f"the database has no versions, but its jobs or observations name version {named}: "
                "first start a host whose data directory has the versions; if they are lost, run "
                "`streetlight train`"
            )
    draft = repository.draft(fit(LAB, Recipe()), LAB, Provenance("four"))
    with repository.transaction() as connection:
        if rows.read_state(connection).newest:
            return  # another host was faster
        number = repository.insert(connection, draft)
        rows.insert_promotion(connection, "promote", number, None, "first training")
    log.info("published version %d, the first training", number)
