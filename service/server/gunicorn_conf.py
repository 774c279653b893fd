"""The configuration of gunicorn, and its start and stop hooks.

`streetlight serve` runs gunicorn with this module. To run gunicorn directly:
`gunicorn -c python:streetlight.service.server.gunicorn_conf streetlight.service.server.wsgi:app`.
"""

import os
import signal
from typing import Any

from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.config.open_files import raise_open_files
from streetlight.service.config.service_links import IGNORED_LINKS
from streetlight.service.config.sources import load_settings, service_links
from streetlight.service.learning.supervisor import end_with_parent
from streetlight.service.observability import logs, metrics, spans

_settings = load_settings()
logs.configure(_settings.log_level)
spans.prepare()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = f"{_host}:{_settings.port}"
workers = _settings.workers
# During a reload (SIGHUP) there are twice as many, and SIGTTIN adds one.
metrics.share_counters(2 * workers + 8)
# The application is loaded once, before the fork: workers start at once and share its memory.
preload_app = True
worker_class = "streetlight.service.server.worker.EventLoopWorker"
keepalive = 75
# A connection is an open file, and may send another one; 128 are left for everything else.
MAX_CONNECTIONS = 2500
worker_connections = (raise_open_files(2 * MAX_CONNECTIONS + 128) - 128) // 2
# Each worker has its own listening socket, and the kernel distributes the connections.
reuse_port = True
control_socket_disable = True
logger_class = "streetlight.service.server.access_log.AccessLog"
accesslog = "-"
loglevel = _settings.log_level
graceful_timeout = 30
proc_name = "streetlight"

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Until a new worker installs its own signal handlers, it has the arbiter's, which drop its signals.
# `pre_fork` therefore blocks the stop signals, and each process unblocks them.
os.register_at_fork(
    after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
)


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's Arbiter has no types
    """Warn if no API key is set; name the variables that are no settings."""
    if not (_settings.api_key or _settings.api_keys_file):
        server.log.warning(
            "STREETLIGHT_API_KEY is not set: every client that reaches this port can add "
            "observations and change the live version"
        )
    if links := service_links():
        server.log.info(IGNORED_LINKS, ", ".join(links))


def pre_fork(server: Any, worker: Any) -> None:  # noqa: ANN401 - likewise
    """Assign the lowest free slot to a new worker, see `metrics.worker_slot`; block the signals."""
    used = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(n for n in range(len(used) + 1) if n not in used)
    # A first heartbeat: gunicorn replaces no worker that has sent none, such as one that hangs
    # while it starts.
    worker.tmp.notify()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ANN401 - likewise
    """Set the slot in the worker's process, and report that it listens."""
    if hasattr(server, "listening"):  # it is a `MainProcess`
        os.close(server.listening)
    metrics.worker_slot = worker.slot


def pre_exec(server: Any) -> None:  # noqa: ANN401 - gunicorn's Arbiter has no types
    """Ignore SIGUSR2, for which gunicorn has forked this process to execute its program again."""
    server.log.warning(
        "SIGUSR2 is ignored: to run new code, start another server, and then stop this one"
    )
    os._exit(0)


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn's Worker has no types
    """Accept stop signals; in the first worker, print the URL and an example."""
    end_with_parent(worker.ppid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    if worker.age != 1:
        return
    # If the version can't be read, requests are answered with 503 until another one is promoted.
    try:
        version = ModelRepository(_settings.models_dir).live()
        lights = [f"{light:g}" for light in version.dataset().lights[0]] if version else []
    except (VersionNotFoundError, VersionDamagedError):
        lights = []
    loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
    scheme = "https" if worker.cfg.is_ssl else "http"
    url = f"{scheme}://{loopback.get(_settings.host, _host)}:{_settings.port}"
    example = (
        f"Try:\n\n  curl {url}/predict -d '{{\"lights\": [{', '.join(lights)}]}}'\n"
        if lights
        else "No version can be served: promote one.\n"
    )
    print(
        f"\nStreetlight listens on {url} with {workers} worker{'s'[: workers > 1]}. {example}",
        flush=True,
    )
