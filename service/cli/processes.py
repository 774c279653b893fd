"""The commands that run until they are stopped: the server and the trainer."""

import logging
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import click

from streetlight.model.training_job import main as training_job
from streetlight.service.cli.group import main
from streetlight.service.cli.main_process import Gunicorn
from streetlight.service.cli.setting_options import (
    ALL_SETTINGS,
    STORAGE,
    server_options,
)
from streetlight.service.config.errors import SettingsError
from streetlight.service.config.open_files import MIN_OPEN_FILES, raise_open_files
from streetlight.service.config.service_links import IGNORED_LINKS
from streetlight.service.config.settings import Settings
from streetlight.service.config.sources import load_settings, service_links
from streetlight.service.config.webhook import signing_keys
from streetlight.service.learning.supervisor import (
    Supervisor,
    end_with_parent,
    install_stop_signals,
    supervise,
)
from streetlight.service.learning.trainer import work as run_trainer
from streetlight.service.observability import logs, spans
from streetlight.service.registry.follower import Follower
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import open_engine
from streetlight.service.webhook.sender import Receiver
from streetlight.service.webhook.sender import run as run_sender
from streetlight.service.wiring import Services, build_services, initialize

log = logging.getLogger(__name__)


@main.command(settings=ALL_SETTINGS)
@server_options
def serve() -> None:
    """Run the server, with a trainer beside it.

    If there is no version, `serve` trains one first. The options override the settings.
    STREETLIGHT_TRAINER=false starts no trainer.
    """
    settings = load_settings()
    _check_writable(settings.data_dir)
    _check_free(settings)
    raise_open_files(MIN_OPEN_FILES)
    services = build_services(settings)
    services.keys.load()
    _prepare(services)
    sys.stdout.flush()
    # In this process, because it has imported the application's modules already.
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    server = "streetlight.service.server"
    sys.argv = [gunicorn, "--config", f"python:{server}.gunicorn_conf", f"{server}.wsgi:app"]
    trainer = Supervisor("trainer", _run_trainer) if settings.trainer else None
    others = [Supervisor("follower", _run_follower)] if services.shared else []
    if settings.webhook_url:
        others.append(Supervisor("sender of the webhook", _run_sender))
    Gunicorn(trainer, others).run()


def _run_trainer(parent: int, *options: str) -> None:
    main(["work", "--parent", str(parent), *options])


def _run_follower(parent: int) -> None:
    end_with_parent(parent)
    stopping, settings = install_stop_signals(), load_settings()
    # Of a terminal, for all its processes. The main process ends this one last, by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    repository = SharedRepository(settings.models_dir, open_engine(settings.database))
    Follower(repository, settings.data_dir).run(stopping)


def _run_sender(parent: int) -> None:
    end_with_parent(parent)
    # It may end at any moment, and stops faster than it could finish a request.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = load_settings()
    url, secrets = settings.webhook_url, settings.webhook_secret
    if url and secrets:
        keys = signing_keys(secrets)
        receiver = Receiver(url.get_secret_value(), keys, settings.webhook_private)
        run_sender(build_services(settings), receiver)


def _prepare(services: Services) -> None:
    """Train the first version if there is none, but only if the database can be used.

    A service that has versions starts without the database: its processes wait for it. If none of
    them is live, it isn't ready until one is promoted. If hosts share the database, it has the
    versions, and the processes wait for the first one as well.
    """
    if isinstance(services.repository, SharedRepository):
        return
    if not services.repository.versions():
        initialize(services)
        services.engine.dispose()
    status = training_job(["--if-missing"], "streetlight", services.settings.models_dir)
    if status == 2 or (status and not services.repository.versions()):
        sys.exit(status)


@main.command(
    settings=[
        *STORAGE,
        *("log_level", "prediction_log", "start_empty", "job_lease", "must_hold", "exam"),
        *("retrain_after", "retrain_below", "retrain_window", "retrain_recipe"),
    ]
)
@click.option("--restart", is_flag=True, help="Restart the trainer whenever it exits.")
@click.option("--parent", type=int, help="Process id of the parent; exit when it is gone.")
@click.option(
    "--liveness-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that the trainer touches every second, for a health check.",
)
def work(restart: bool, parent: int | None, liveness_file: Path | None) -> None:
    """Run a trainer: one retraining job after another.

    SIGTERM or SIGINT stops the trainer; a job that is running then returns to the queue. If
    there is no version, `work` trains one first.
    """
    settings = load_settings()
    logs.configure(settings.log_level)
    if parent is None:  # otherwise the process that has started this one did it
        spans.prepare()
        if links := service_links():
            log.info(IGNORED_LINKS, ", ".join(links))
    if restart:
        options = ["--liveness-file", str(liveness_file)] if liveness_file else []
        supervise(lambda supervisor: _run_trainer(supervisor, *options), parent or os.getppid())
        return
    _check_writable(settings.data_dir)
    services = build_services(settings)
    if services.repository.live_number() is None:
        _prepare(services)
    spans.start()
    run_trainer(services, parent or os.getppid(), liveness_file)
    spans.stop()


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingsError(
            f"STREETLIGHT_DATA_DIR: can't write to {folder}: {error.strerror}"
        ) from error


def _check_free(settings: Settings) -> None:
    # Without SO_REUSEPORT, which would succeed on a port that another Streetlight server uses.
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host
        reason = error.strerror if isinstance(error, OSError) else "invalid name of a host"
        raise SettingsError(
            f"can't listen on {settings.host}:{settings.port}: {reason}; "
            "choose others with --host and --port"
        ) from error
