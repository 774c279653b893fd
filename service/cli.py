"""The command line: `streetlight serve | train | predict | versions | promote | rollback | verify`.

Every command but `serve` works on the data directory alone, whether a server runs or not.
"""

import csv
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn, get_args

import click
from sqlalchemy.exc import DBAPIError

from model import csvfile
from model.__main__ import main as training_job
from model.dataset import DatasetError, outcome_name
from model.replay import replay
from model.repository import NothingToRollBackToError, VersionNotFoundError
from model.version import Version, VersionDamagedError
from service import jobs
from service.bootstrap import Services, bootstrap, prepare
from service.jobs import Order, Promote
from service.predictions import LightsError, NoLiveVersionError, live_version, live_version_if_any
from service.predictions import predict as predict_one
from service.recording import Observed, record
from service.retraining import DEFAULT_RECIPE
from service.settings import PREFIX, Settings, SettingsError, load_settings
from service.trainer import keep
from service.trainer import work as run_trainer
from service.versions import list_versions


class Commands(click.Group):
    """Commands that end with one clear line where something is wrong, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command: status 2 for what the operator set, 1 for what was asked in vain."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            _stop(error, 2)
        except OSError as error:
            _stop(f"{error.filename or 'I/O'}: {error.strerror or error}", 2)
        except (csv.Error, UnicodeDecodeError, DatasetError) as error:
            _stop(error, 2)
        except DBAPIError as error:
            _stop(f"the database can't be used: {error.orig}", 2)
        except (
            LightsError,
            NoLiveVersionError,
            NothingToRollBackToError,
            VersionDamagedError,
            VersionNotFoundError,
        ) as error:
            _stop(error, 1)


def _stop(message: object, status: int) -> NoReturn:
    click.echo(f"streetlight: {message}", err=True)
    sys.exit(status)


@click.group(cls=Commands)
@click.version_option(package_name="streetlight")
def main() -> None:
    """Learn when it is safe to cross, and say so over HTTP.

    Settings come from the environment: STREETLIGHT_DATA_DIR holds all state.
    """


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", help="Port to listen on.")
@click.option("--workers", help="Processes that answer requests.")
def serve(**options: str | None) -> None:
    """Serve predictions; trains the first version where there is none."""
    for name, value in options.items():
        if value is not None:
            os.environ[PREFIX + name.upper()] = value
    settings = load_settings()
    _check_writable(settings.data_dir)
    _check_free(settings)
    _train_first(settings)
    prepare(bootstrap(settings))
    sys.stdout.flush()
    if settings.trainer:
        # Beside gunicorn, which this process becomes: it ends when gunicorn does.
        subprocess.Popen([sys.executable, "-m", "service.cli", "work", "--restart"])
    gunicorn = ["-m", "gunicorn", "--config", "python:service.gunicorn_conf", "service.wsgi:app"]
    os.execv(sys.executable, [sys.executable, *gunicorn])  # noqa: S606 - no shell is wanted


def _train_first(settings: Settings) -> None:
    status = training_job(["--if-missing"], "streetlight", settings.models_dir)
    if status:
        sys.exit(status)


@main.command()
@click.option("--restart", is_flag=True, help="Start another trainer whenever this one dies.")
def work(restart: bool) -> None:
    """Retrain: take one job after another, until a signal says to stop."""
    settings = load_settings()
    logging.basicConfig(level="INFO", format="[%(asctime)s] [%(process)d] [trainer] %(message)s")
    if restart:
        keep(["-m", "service.cli", "work"])
        return
    _check_writable(settings.data_dir)
    _train_first(settings)
    services = bootstrap(settings)
    prepare(services)
    run_trainer(services)


@main.command()
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@click.option("--promote", type=click.Choice(get_args(Promote)), default="if_better")
def retrain(watch: bool, promote: Promote) -> None:
    """Queue a retraining on the ledger, for the trainer to take."""
    services = bootstrap(load_settings())
    prepare(services)
    job = jobs.submit(services.engine, Order(DEFAULT_RECIPE, promote), None)
    click.echo(f"job {job.id} is queued")
    if not watch:
        return
    while not (job := jobs.get(services.engine, job.id)).finished:
        if job.progress:
            at = job.progress
            told = f"seed {at.seed}  iteration {at.iteration}  error {at.error:.6g}"
            click.echo(f"\r{job.state}  {told}\x1b[K", nl=False)
        time.sleep(0.2)
    click.echo(f"\rjob {job.id} {job.state}\x1b[K")
    if job.version is None:
        _stop(job.error or job.state, 1)
    click.echo(f"version {job.version} is {'live' if job.promoted else 'not promoted'}")
    if job.verdict:
        for reason in job.verdict.reasons:
            click.echo(f"  {reason}")
        for change in job.verdict.changes:
            click.echo(f"  {change['lights']}: was {change['was']}, now {change['now']}")


@main.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_csv(file: Path) -> None:
    """Add the observations in a CSV FILE to the ledger."""
    services = bootstrap(load_settings())
    prepare(services)
    live = live_version_if_any(services.repository)
    rows = [
        Observed(tuple(lights), outcome_name(walked)) for lights, walked in csvfile.read_rows(file)
    ]
    recorded = 0
    with click.progressbar(length=len(rows), label=f"importing {file.name}") as bar:
        for start in range(0, len(rows), 10_000):
            part = rows[start : start + 10_000]
            verdicts = record(services.engine, part, live, file.name)
            wrong = [verdict for verdict in verdicts if verdict.verdict == "rejected"]
            if wrong:
                _stop(f"{file}: {wrong[0].error}; {recorded} observations before were added", 1)
            recorded += len(part)
            bar.update(len(part))
    click.echo(f"{recorded} observations added")


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingsError(
            f"STREETLIGHT_DATA_DIR: can't write to {folder}: {error.strerror}"
        ) from error


def _check_free(settings: Settings) -> None:
    # Without SO_REUSEPORT, which would share the port with the server that has it.
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose others with --host and --port"
        ) from error


@main.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def train(ctx: click.Context) -> None:
    """Train a version; `streetlight train --help` lists the options."""
    sys.exit(training_job(ctx.args, "streetlight train", load_settings().models_dir))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("lights", nargs=-1, required=True, type=float)
def predict(lights: tuple[float, ...]) -> None:
    """Say walk or stop to one light state, such as: streetlight predict 1 0 1."""
    prediction = predict_one(live_version(_services().repository), lights)
    click.echo(f"{prediction.decision}  score {prediction.score}  version {prediction.version}")


@main.command()
def versions() -> None:
    """List the versions; the live one has a star."""
    listed = list_versions(_services().repository)
    if not listed.versions:
        click.echo("no version yet; `streetlight train` makes the first")
        return
    click.echo("   version  created                   dataset       rows  accuracy  error     seed")
    for row in listed.versions:
        mark = "*" if row["version"] == listed.live else " "
        if "damaged" in row:
            click.echo(f"{mark}  {row['version']:<7}  damaged: {row['damaged']}")
            continue
        click.echo(
            f"{mark}  {row['version']:<7}  {row['created_at'][:19]:<24}  {row['dataset']:<12}"
            f"{row['rows']:>6}  {row['accuracy']:>8.1%}  {row['error']:<8.2e}  {row['seed']}"
        )


@main.command()
@click.argument("number", type=click.IntRange(min=1))
@click.option("--reason", default="by hand", help="Why; for the record.")
def promote(number: int, reason: str) -> None:
    """Let version NUMBER answer from now on."""
    promotion = _services().repository.promote(number, reason)
    was = f" instead of version {promotion.instead_of}" if promotion else " already"
    click.echo(f"version {number} is live{was}")


@main.command()
@click.option("--reason", default="by hand", help="Why; for the record.")
def rollback(reason: str) -> None:
    """Let the version that was live before answer again."""
    promotion = _services().repository.rollback(reason)
    click.echo(f"version {promotion.version} is live instead of version {promotion.instead_of}")


@main.command()
@click.argument("number", type=click.IntRange(min=1))
def verify(number: int) -> None:
    """Train version NUMBER again from its file alone and compare, bit for bit."""
    version: Version = _services().repository.load(number)
    result = replay(version)
    if result.identical:
        click.echo(f"version {number}: identical, bit for bit")
        return
    then, now = result.numpy
    _stop(
        f"version {number}: {', '.join(result.differs)} came out otherwise "
        f"(trained with numpy {then}, now numpy {now})",
        1,
    )


def _services() -> Services:
    return bootstrap(load_settings())


if __name__ == "__main__":
    main()
