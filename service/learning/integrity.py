"""`check`: whether the ledger and the jobs in the database are valid, and agree with the versions.

It only reads, and may run beside a server. `streetlight.model.registry.integrity` checks the
folder of versions.
"""

import json
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, func, inspect, select

from streetlight.model.dataset import THRESHOLD, outcome_name
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.version_cache import VersionCache
from streetlight.service.learning.exam import exam_verdict, unseen_exam
from streetlight.service.learning.job import Job, job_from_row
from streetlight.service.store.engine import snapshot
from streetlight.service.store.tables import UNFINISHED, jobs, observations

# The score from which on release 0.1 decided walk.
FORMER_THRESHOLD = 0.5

Report = Callable[[str], None]


def check(engine: Engine, repository: ModelRepository, report: Report) -> dict[str, int]:
    """Call `report` with a sentence for each violation, and return how much was checked.

    A version whose file was removed is no violation; one whose number was never given is.
    """
    path = engine.url.database
    if engine.dialect.name == "sqlite" and not (path and Path(path).exists()):
        return {"observations": 0, "jobs": 0}  # connecting would create the file
    with snapshot(engine) as connection:
        if not inspect(connection).has_table(jobs.name):
            return {"observations": 0, "jobs": 0}
        if engine.dialect.name == "sqlite":
            for line in connection.exec_driver_sql("PRAGMA integrity_check").scalars():
                if line != "ok":
                    report(f"the database: {line}")
        versions = VersionCache(repository)
        # The folder is read after the rows, so it has what they name.
        return {
            "observations": _check_observations(connection, versions, repository, report),
            "jobs": _check_jobs(connection, versions, repository, report),
        }


def _check_observations(
    connection: Connection, versions: VersionCache, repository: ModelRepository, report: Report
) -> int:
    table = observations
    count, last = connection.execute(select(func.count(), func.max(table.c.id))).one()
    if count != (last or 0):
        report(f"observations: expected the ids 1 to {last} without a gap, got {count} of them")
    columns = (table.c.version, table.c.lights, table.c.said)
    groups = select(*columns, func.count()).group_by(*columns).order_by(*columns)
    newest = repository.newest_number()
    for number, lights, said, rows in connection.execute(groups):
        if number and number > newest:
            report(f"observations: {rows} were predicted by version {number}, which never existed")
        elif number and (version := _load(versions, number)):
            decisions = _decisions(version, lights)
            if said not in decisions:
                report(
                    f"observations: {rows} of {lights[:80]} have the prediction {said} of version "
                    f"{number}, expected {decisions[0]}"
                )
    return int(count)


def _decisions(version: Version, text: str) -> list[int | None]:
    """Return 1 for walk or 0 for stop; `None` if the version can't predict these lights.

    A version of release 0.1 has both if the two releases decide its score differently: an
    observation doesn't tell which of them recorded it.
    """
    try:
        lights = [float(light) for light in json.loads(text)]
    except (ValueError, TypeError):
        return [None]
    if len(lights) != version.network.light_count:
        return [None]
    score = version.network.score(lights)
    if version.manifest.threshold is None and FORMER_THRESHOLD <= score <= THRESHOLD:
        return [0, 1]
    return [int(outcome_name(score) == "walk")]


def _check_jobs(
    connection: Connection, versions: VersionCache, repository: ModelRepository, report: Report
) -> int:
    rows = connection.execute(select(jobs).order_by(jobs.c.id)).all()
    newest, lines = repository.newest_number(), repository.promotion_lines()
    last = connection.execute(select(func.max(observations.c.id))).scalar() or 0
    logged = {promotion.version for promotion in lines if promotion}
    for job in rows:
        if (job.state in UNFINISHED) != (job.finished_at is None):
            report(f"job {job.id}: is {job.state}, but has the end {job.finished_at}")
        if (job.state == "succeeded") != (job.version is not None):
            report(f"job {job.id}: is {job.state}, but has the version {job.version}")
        if job.version is None:
            continue
        if job.version > newest:
            report(f"job {job.id}: its version {job.version} never existed")
        elif (version := _load(versions, job.version)) and version.manifest.job != job.id:
            report(f"job {job.id}: its version {job.version} is that of job {version.manifest.job}")
        elif version:
            _check_exam(job_from_row(job), version, versions, last, report)
        if job.promoted and job.version not in logged and None not in lines:
            report(f"job {job.id}: its promotion of version {job.version} is not in the log")
    return len(rows)


def _check_exam(
    job: Job, version: Version, versions: VersionCache, last: int, report: Report
) -> None:
    """Compare the ids of a version with the ledger's, and repeat the exam of its verdict."""
    manifest = version.manifest
    ids = [*(manifest.learnt or []), *(manifest.exam.observations if manifest.exam else [])]
    if ids and (highest := max(ids)[1]) > last:
        report(f"version {version.number}: names observation {highest}, the ledger has {last}")
    if not (job.verdict and job.verdict.exam and job.verdict.against):
        return
    live = _load(versions, job.verdict.against)
    try:
        exam = version.exam()
    except VersionDamagedError:
        return  # found elsewhere
    if live is None:
        return
    unseen, _ = unseen_exam(version, live, exam)
    found = None
    if unseen:
        lights = unseen.dataset.lights
        found = exam_verdict(live.network.scores(lights), version.network.scores(lights), unseen)
    if found != job.verdict.exam:
        report(
            f"job {job.id}: the exam in its verdict isn't that of the versions {live.number} and "
            f"{version.number}"
        )


def _load(versions: VersionCache, number: int) -> Version | None:
    """Return a version; `None` if its file was removed, or is damaged, which is found elsewhere."""
    try:
        return versions.load(number)
    except (VersionNotFoundError, VersionDamagedError):
        return None
