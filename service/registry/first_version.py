"""Give a database without versions its first ones: those of the folder, or a new training.

Releases before the tables of versions kept the versions in the folder, also with PostgreSQL.
"""

import logging

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import VersionDamagedError
from streetlight.model.training.fit import fit
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import SharedRepository

log = logging.getLogger(__name__)


def add_first_version(repository: SharedRepository) -> None:
    """If the database has no versions, add those of the folder, or else the lab's; and copy them.

    Any number of hosts may call this at the same time: the first one adds its versions.

    Raises an error as `SharedRepository.follow` does.
    """
    if not repository.newest_number() and not repository.versions():
        former = ModelRepository(repository.folder)
        if former.versions():
            _add_folder(repository, former)
        else:
            _train(repository)
    repository.follow()


def _add_folder(repository: SharedRepository, former: ModelRepository) -> None:
    """Insert the versions and the promotions of a folder that no database describes yet."""
    with former.promoting():
        pass  # a promotion that a crash kept out of the log is in it now
    with repository.transaction() as connection:
        if rows.read_state(connection).newest:
            return
        jobs: set[int | None] = set()
        for number in former.versions():
            try:
                job = former.load(number).manifest.job
            except VersionDamagedError:
                job = None
            # An interrupted job may have published two versions; the second was never promoted.
            job = None if job in jobs else job
            jobs.add(job)
            rows.insert_version(connection, number, job, former.path(number).read_bytes())
        rows.insert_promotions(connection, former.promotions())
    log.info("the database has %d versions of the folder", len(former.versions()))


def _train(repository: SharedRepository) -> None:
    draft = repository.draft(fit(LAB, Recipe()), LAB, Provenance("lab"))
    with repository.transaction() as connection:
        if rows.read_state(connection).newest:
            return  # another host was faster
        number = repository.insert(connection, draft)
        rows.insert_promotion(connection, "promote", number, None, "first training")
    log.info("published version %d, the first training", number)
