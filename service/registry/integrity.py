"""`check`: whether the rows of versions and promotions are valid, and the folder is a copy of them.

It only reads. `streetlight.model.registry.integrity` checks what the files contain.
"""

import hashlib
from collections.abc import Callable

from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.registry import rows
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import snapshot


def check(repository: SharedRepository, report: Callable[[str], None]) -> None:
    """Call `report` with a sentence for each violation.

    Raises:
        DBAPIError: the database can't be used.
    """
    with snapshot(repository.engine) as connection:
        state, digests = rows.read_state(connection), rows.read_digests(connection)
        promotions, ids = rows.read_promotions(connection), rows.read_promotion_ids(connection)
        for number, sha256 in digests.items():
            if _sha256(rows.read_file(connection, number) or b"") != sha256:
                report(f"version {number}: its file in the database hasn't the SHA-256 {sha256}")
            elif _sha256_of_copy(repository, number) != sha256:
                report(f"version {number}: the file in the folder isn't that in the database")
    for number in sorted(set(repository.versions()) - digests.keys()):
        report(f"version {number}: has a file in the folder, but no row in the database")
    if ids != list(range(1, len(ids) + 1)):
        report(f"promotions: expected the ids 1 to {len(ids)} without a gap, got up to {ids[-1]}")
    for number in sorted({promotion.version for promotion in promotions} - digests.keys()):
        report(f"promotions: version {number} was live, but has no row in the database")
    if repository.promotions() != promotions:
        report("promotions.jsonl: isn't a copy of the promotions in the database")
    try:
        live = repository.live_number()
    except VersionDamagedError:
        return  # found elsewhere
    if live != state.live:
        report(f"the live link names version {live}, the last promotion {state.live}")


def _sha256_of_copy(repository: SharedRepository, number: int) -> str | None:
    try:
        return _sha256(repository.path(number).read_bytes())
    except FileNotFoundError:
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
