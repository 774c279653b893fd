"""The commands that add observations and train: import, retrain and train."""

import hashlib
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import get_args

import click
from pydantic import TypeAdapter, ValidationError

from streetlight.model import csv_io
from streetlight.model.dataset import LAB_DATASETS, outcome_name
from streetlight.model.id_ranges import size
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.training_job import main as training_job
from streetlight.service.cli.group import fail, main, warn_of
from streetlight.service.cli.services import initialize_current, open_services
from streetlight.service.cli.setting_options import STORAGE
from streetlight.service.config.sources import load_settings
from streetlight.service.inference.resolution import live_version_if_any
from streetlight.service.learning import queue
from streetlight.service.learning.gate import Promote, Verdict
from streetlight.service.learning.job import JobSpec, current_name, default_promote
from streetlight.service.learning.training_data import LEDGER, data_of
from streetlight.service.ledger.ingest import NewObservation, record
from streetlight.service.observability.trace_context import in_trace, parse_traceparent
from streetlight.service.prediction_log.lookup import Lookup
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.validation.fields import ExamAmount
from streetlight.service.validation.problems import FieldError, problems
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.wiring import build_services, initialize_ledger

# Observations that `import` adds in one transaction.
BATCH_SIZE = 10_000
# Hexadecimal digits of the file's SHA-256 that, with the row's number, identify an imported row.
DIGEST_LENGTH = 32


_exam: TypeAdapter[float] = TypeAdapter(ExamAmount)


def _parse_exam(_ctx: click.Context, _param: click.Parameter, amount: float | None) -> float | None:
    try:
        return None if amount is None else _exam.validate_python(amount)
    except ValidationError as error:
        [problem] = problems(error)
        raise click.BadParameter(problem.message) from None


def _print_result(verdict: Verdict) -> None:
    """Print what the versions were judged on, and the result."""
    if (exam := verdict.exam) is None:
        click.echo(f"no exam: {verdict.why_no_exam}")
        return
    total = size(exam.observations)
    click.echo(
        f"right on {exam.challenger.right} of {total} observations that neither version has learnt "
        f"from, version {verdict.against} on {exam.champion.right}; p = {exam.p:.3g}"
    )


@main.command(
    context_settings={"token_normalize_func": current_name},
    settings=[*STORAGE, "must_hold", "exam"],
)
@click.option("--watch", is_flag=True, help="Show the progress and the result of the job.")
@click.option(
    "--promote",
    type=click.Choice(get_args(Promote)),
    help="When the new version goes live. not_worse, the default on the ledger: if it meets its "
    "target error, is at least as accurate as the live version, and decides the patterns of "
    "STREETLIGHT_MUST_HOLD as given. better: if McNemar's test on the exam also shows that it is "
    "more accurate. never, the default with --dataset: not by this job.",
)
@click.option(
    "--exam",
    type=float,
    callback=_parse_exam,
    help="Observations to hold back, to compare the new version with the live one: below 1 a share "
    "of those that the live version hasn't learnt from, else a number; 0 for none.",
    show_default="STREETLIGHT_EXAM",
)
@click.option(
    "--dataset",
    type=click.Choice(list(LAB_DATASETS)),
    help="Learn from a dataset of the lab, not from the ledger.",
)
def retrain(watch: bool, promote: Promote | None, exam: float | None, dataset: str | None) -> None:
    """Queue a retraining job, on the ledger by default.

    A trainer must be running: `streetlight serve` starts one, or run `streetlight work`. With
    --watch, exit status 1 means that the job failed or was cancelled. The job belongs to the trace
    that the variable TRACEPARENT names (W3C), if it is set.
    """
    data = LEDGER
    if dataset:
        if exam:
            message = f"expected none with a dataset, got {exam:g}: only a training on the ledger "
            raise click.BadParameter(f"{message}holds observations back", param_hint="--exam")
        try:
            data = data_of(LAB_DATASETS[dataset], dataset)
        except FieldError as refused:
            raise click.BadParameter(refused.problem.message, param_hint="--dataset") from None
    services = build_services(load_settings())
    initialize_ledger(services)
    spec = JobSpec(DEFAULT_RECIPE, promote or default_promote(data), exam=exam, data=data)
    with in_trace(parse_traceparent(os.environ.get("TRACEPARENT"))):
        job = queue.submit(services.engine, spec, None)
    click.echo(f"job {job.id} is queued")
    if not watch:
        return
    while not (job := queue.get(services.engine, job.id)).finished:
        if job.progress:
            seed, iteration, error = job.progress.seed, job.progress.iteration, job.progress.error
            progress = f"seed {seed}  iteration {iteration}  error {error:.6g}"
            click.echo(f"\r{job.state}  {progress}\x1b[K", nl=False)
        time.sleep(0.2)
    click.echo(f"\rjob {job.id} {job.state}\x1b[K")
    if job.version is None:
        fail(job.error or job.state, 1)
    click.echo(f"version {job.version} is {'live' if job.promoted else 'not promoted'}")
    if job.verdict:
        for reason in job.verdict.reasons:
            click.echo(f"  {reason}")
        for change in job.verdict.changes:
            click.echo(f"  {change.lights}: was {change.was}, now {change.now}")
        if more := job.verdict.changed - len(job.verdict.changes):
            click.echo(f"  and {more} more")
        _print_result(job.verdict)


@main.command(name="import", settings=[*STORAGE, "prediction_log"])
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_csv(file: Path) -> None:
    """Add the observations in a CSV file to the ledger.

    FILE has a header, one column for each light, and a column outcome with walk or stop; a last
    column request_id may name the prediction that a row answers. The whole file is checked before
    the first observation is added. Importing a file again adds only the rows that are missing, for
    example after an interruption.
    """
    services = open_services()
    initialize_current(services)
    log = Lookup(services.prediction_log) if services.prediction_log else None
    live = live_version_if_any(services.repository, copy=True)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:DIGEST_LENGTH]
    # The file is read twice, so that a file with an invalid line adds nothing.
    rows = sum(1 for _ in csv_io.read_rows(file))
    reader = enumerate(csv_io.read_rows(file), 1)
    added = 0
    with click.progressbar(length=rows, label=f"importing {file.name}") as bar:
        while batch := list(islice(reader, BATCH_SIZE)):
            observations = [
                NewObservation(
                    tuple(row.lights),
                    outcome_name(row.outcome),
                    f"{digest}:{number}",
                    row.request_id,
                )
                for number, row in batch
            ]
            results = record(
                services.engine,
                observations,
                live,
                file.name[:100],
                log=log,
            )
            for result in results:
                if result.error:
                    fail(f"{file}: {result.error}", 1)
            added += sum(result.verdict != "duplicate" for result in results)
            bar.update(len(batch))
    earlier = f", {rows - added} were in the ledger already" if added < rows else ""
    click.echo(f"{added} observations added{earlier}")


@main.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def train(ctx: click.Context) -> None:
    """Train a version from the lab's data or a CSV, and make it live."""
    services = open_services()
    shared, models = services.repository, services.settings.models_dir

    def open_repository(folder: Path) -> ModelRepository:
        if not isinstance(shared, SharedRepository) or folder != models:
            return ModelRepository(folder)
        initialize_current(services)
        return shared

    status = training_job(ctx.args, "streetlight train", models, open_repository)
    warn_of(shared.lagging_hosts())
    sys.exit(status)
