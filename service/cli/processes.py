"""The commands that go on: the server, and the trainer."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from gunicorn.app.wsgiapp import run as run_gunicorn

from streetlight.model.__main__ import main as training_job
from streetlight.service.cli.group import main
from streetlight.service.config import PREFIX, Settings, SettingsError, load_settings
from streetlight.service.learning.supervisor import supervise
from streetlight.service.learning.trainer import work as run_trainer
from streetlight.service.observability import logs
from streetlight.service.wiring import build_services, prepare


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
    services = build_services(settings)
    prepare(services)
    services.engine.dispose()
    sys.stdout.flush()
    if settings.trainer:
        # Beside gunicorn, which this process becomes; it ends when that does. -P keeps the working
        # directory off its module search path.
        work = ["-m", "streetlight.service.cli", "work", "--restart", "--parent", str(os.getpid())]
        subprocess.Popen([sys.executable, "-P", *work])
    # gunicorn puts the working directory first on sys.path unless it is there already. Last, it
    # can't replace a module: a user's own flask.py would otherwise be imported.
    sys.path.append(str(Path.cwd()))
    # In this very process: what it has imported need not be imported again.
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    server = "streetlight.service.server"
    sys.argv = [gunicorn, "--config", f"python:{server}.gunicorn_conf", f"{server}.wsgi:app"]
    run_gunicorn()


def _train_first(settings: Settings) -> None:
    status = training_job(["--if-missing"], "streetlight", settings.models_dir)
    if status:
        sys.exit(status)


@main.command()
@click.option("--restart", is_flag=True, help="Start another trainer whenever this one dies.")
@click.option("--parent", type=int, help="End when this process is no longer the parent.")
def work(restart: bool, parent: int | None) -> None:
    """Retrain: take one job after another, until a signal says to stop."""
    settings = load_settings()
    logs.configure()
    if restart:
        again = ["work", "--parent", str(os.getpid())]
        supervise(lambda: main(again), parent or os.getppid())
        return
    _check_writable(settings.data_dir)
    services = build_services(settings)
    if services.repository.live_number() is None:
        _train_first(settings)
    prepare(services)
    run_trainer(services, parent or os.getppid())


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
