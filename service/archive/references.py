"""Which versions and jobs can be removed: those that are old, and that nothing else names.

A version names its parent and its job. A job names the version that it published and the one that
it was compared with. Promotions, observations and logged predictions name versions, and idempotency
keys name jobs.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from sqlalchemy import Column, Connection, select

from streetlight.model.registry.promotion_log import Promotion
from streetlight.service.store.idempotency import stored_responses
from streetlight.service.store.tables import UNFINISHED, jobs, observations, predictions

Entry = tuple[Literal["version", "job"], int]


class Links(NamedTuple):
    """What a version names: the version that was live before its training, and its job."""

    parent: int | None = None
    job: int | None = None


class Entries(NamedTuple):
    """The numbers of versions and the ids of jobs, ascending."""

    versions: list[int]
    jobs: list[int]


def find_removable(
    keep: int,
    versions: Mapping[int, Links],
    promotions: Iterable[Promotion],
    ledger: Connection | None,
    prediction_log: Connection | None,
) -> Entries:
    """Return the versions and jobs that are not among the newest `keep`, and that nothing names.

    Args:
        keep: how many of the newest versions, and of the newest jobs, can't be removed.
        versions: what each version names.
        promotions: the promotion log, which ends with the live version.
        ledger: a connection to the tables of observations and jobs, if there are any.
        prediction_log: a connection to the table of predictions, if there is one.
    """
    needed: set[Entry] = {("version", number) for number in sorted(versions)[-keep:]}
    for promotion in promotions:
        needed |= _entries(("version", promotion.version), ("version", promotion.instead_of))
    names: dict[Entry, set[Entry]] = defaultdict(set)
    for number, links in versions.items():
        names["version", number] = _entries(("version", links.parent), ("job", links.job))
        if links.job is not None:
            # The job may not name its version yet.
            names["job", links.job].add(("version", number))
    ids: list[int] = []
    if ledger is not None:
        query = select(jobs.c.id, jobs.c.state, jobs.c.version, jobs.c.verdict).order_by(jobs.c.id)
        for job in ledger.execute(query):
            ids.append(job.id)
            against = json.loads(job.verdict or "{}").get("against")
            names["job", job.id] |= _entries(("version", job.version), ("version", against))
            if job.state in UNFINISHED:
                needed.add(("job", job.id))
        needed |= {("job", number) for number in ids[-keep:]}
        needed |= {("job", int(answer)) for answer in stored_responses(ledger, "retrain")}
        needed |= _named_versions(ledger, observations.c.version, versions)
    if prediction_log is not None:
        needed |= _named_versions(prediction_log, predictions.c.version, versions)
    kept: set[Entry] = set()
    while needed:
        kept |= needed
        needed = set().union(*(names[entry] for entry in needed)) - kept
    return Entries(
        [number for number in sorted(versions) if ("version", number) not in kept],
        [number for number in ids if ("job", number) not in kept],
    )


def _entries(*found: tuple[Literal["version", "job"], int | None]) -> set[Entry]:
    return {(kind, number) for kind, number in found if number is not None}


def _named_versions(
    connection: Connection, column: Column[Any], versions: Iterable[int]
) -> set[Entry]:
    """Return those of `versions` that a row has in `column`, of which an index is searched."""
    query = select(column).limit(1)
    return {
        ("version", number)
        for number in versions
        if connection.execute(query.where(column == number)).first()
    }
